//! From parts to the head that is kept.

use crate::card::{Candidate, LeftOut, Scorer, StackedPart};
use crate::crossfit::Observed;
use crate::data::{Data, Item};
use crate::entrants::{Entrant, entrants, measure, pick};
use crate::error::Result;
use crate::head::Head;
use crate::heads::Problem;
use crate::stacking::{PartScores, Stacker};
use crate::token_parts::{Said, TokenPart, TokenProblem};
use segad_core::FitContext;
use std::collections::BTreeSet;

/// Parts on tokens that are fitted on labels.
const SUPERVISED: [TokenPart; 3] = [TokenPart::Filter, TokenPart::Spread, TokenPart::Instances];
/// A stack needs everything.
const STACK_RANK: usize = 6;

/// A kind of defect that can be left out of training.
pub(crate) struct Kind {
    pub name: String,
    pub members: Vec<usize>,
}

/// The kinds of defect without which something bad is left to learn from in every fold.
pub(crate) fn kinds(data: &Data<'_>, problem: &Problem<'_>) -> Vec<Kind> {
    let names: BTreeSet<&str> = data.items.iter().filter_map(Item::kind).collect();
    let mut kinds = Vec::with_capacity(names.len());
    for name in names {
        let is_member = |i: usize| data.items[i].kind() == Some(name);
        if problem.can_leave_out(is_member) {
            kinds.push(Kind {
                name: name.to_owned(),
                members: (0..data.items.len()).filter(|&i| is_member(i)).collect(),
            });
        }
    }
    kinds
}

pub(crate) struct Chooser<'a> {
    pub head: &'a Head,
    pub problem: &'a Problem<'a>,
    pub tokens: Option<&'a TokenProblem<'a>>,
    pub kinds: &'a [Kind],
    pub names: &'a [String],
    pub observed: &'a [Observed],
    pub units: &'a [usize],
    pub level: f64,
    pub ctx: &'a FitContext,
}

/// The head that is kept, with what was measured on the way.
pub(crate) struct Choice {
    pub scorer: Scorer,
    pub scores: Vec<f32>,
    pub candidates: Vec<Candidate>,
    pub left_out: Vec<LeftOut>,
    /// Scores by a head that had not seen a kind of defect either; one for each kind, `None` where
    /// too few images are left for it.
    pub without: Vec<Option<Vec<f32>>>,
    /// What parts on tokens say of each image, without its fold.
    pub said: Vec<(TokenPart, Vec<Said>)>,
    /// The first classifier's logits, where it was tried.
    pub logits: Option<Vec<f32>>,
    /// All that was measured but the stack, in the candidates' order.
    pub singles: Vec<StackedPart>,
}

/// What parts on tokens say: of each image, and again without each kind of defect.
#[derive(Default)]
struct Heard {
    said: Vec<(TokenPart, Vec<Said>)>,
    /// Scores by kind, supervised part and image.
    without: Vec<Vec<Vec<f32>>>,
}

pub(crate) fn scores(said: &[Said]) -> Vec<f32> {
    said.iter().map(|s| s.score as f32).collect()
}

impl Chooser<'_> {
    pub(crate) fn run(&self) -> Result<Choice> {
        let Heard { said, without } = self.hear()?;
        let said_of: Vec<(TokenPart, &[Said])> = said.iter().map(|(p, s)| (*p, &s[..])).collect();
        let mut all = entrants(self.head, self.problem, self.names, self.observed, &said_of)?;
        let stacked = match self.head {
            Head::Stack => Some(self.stack(&all, &without)?),
            _ => None,
        };
        let mut left_out = Vec::new();
        let mut stack_without = Vec::new();
        if let Some(stacked) = stacked {
            all.push(stacked.entrant);
            left_out = stacked.left_out;
            stack_without = stacked.without;
        }
        let mut candidates = measure(&all, self.problem.labels, self.units, self.level)?;
        let chosen = pick(self.head, &all, &candidates)?;
        candidates[chosen].chosen = true;
        let first = Scorer::Classifier { classifier: 0 };
        let logits = all
            .iter()
            .find(|e| e.scorer == first)
            .map(|e| e.scores.clone());
        let singles = all.iter().filter(|e| e.rank < STACK_RANK);
        let singles = singles.map(|e| StackedPart {
            name: e.name.clone(),
            scorer: e.scorer.clone(),
        });
        let singles = singles.collect();
        let Entrant { scorer, scores, .. } = all.swap_remove(chosen);
        let without = match &scorer {
            Scorer::Stack { .. } => stack_without.into_iter().map(Some).collect(),
            single => self.without_kinds(single, &scores, &without)?,
        };
        Ok(Choice {
            scorer,
            scores,
            candidates,
            left_out,
            without,
            said,
            logits,
            singles,
        })
    }

    fn hear(&self) -> Result<Heard> {
        let Some(tokens) = self.tokens else {
            return Ok(Heard::default());
        };
        let mut said = vec![(TokenPart::Nearest, tokens.nearest())];
        if !self.problem.can_leave_out(|_| false) {
            return Ok(Heard {
                said,
                without: Vec::new(),
            });
        }
        let nothing = |_: usize| false;
        let members: Vec<_> = self
            .kinds
            .iter()
            .map(|kind| move |i: usize| kind.members.contains(&i))
            .collect();
        let mut variants: Vec<&(dyn Fn(usize) -> bool + Sync)> = vec![&nothing];
        variants.extend(members.iter().map(|m| m as &(dyn Fn(usize) -> bool + Sync)));
        let mut heard = tokens
            .out_of_fold(&SUPERVISED, &variants, self.ctx)?
            .into_iter();
        said.extend(
            SUPERVISED
                .into_iter()
                .zip(heard.next().into_iter().flatten()),
        );
        let without = heard.map(|parts| parts.iter().map(|said| scores(said)).collect());
        Ok(Heard {
            without: without.collect(),
            said,
        })
    }

    /// Scores of a single part without each kind of defect.
    fn without_kinds(
        &self,
        scorer: &Scorer,
        scores: &[f32],
        heard: &[Vec<Vec<f32>>],
    ) -> Result<Vec<Option<Vec<f32>>>> {
        let mut all = Vec::with_capacity(self.kinds.len());
        for (n, kind) in self.kinds.iter().enumerate() {
            let left_out = |i: usize| kind.members.contains(&i);
            all.push(match scorer {
                // These see no bad image anyway.
                Scorer::Detector { .. } => Some(scores.to_vec()),
                Scorer::Tokens { part } => Some(match SUPERVISED.iter().position(|p| p == part) {
                    Some(part) => heard[n][part].clone(),
                    None => scores.to_vec(),
                }),
                scorer if self.problem.possible(scorer, left_out) => {
                    Some(self.problem.out_of_fold(scorer, left_out)?)
                }
                _ => None,
            });
        }
        Ok(all)
    }

    fn stack(&self, parts: &[Entrant], heard: &[Vec<Vec<f32>>]) -> Result<Stacked> {
        let mut columns = Vec::with_capacity(parts.len());
        for part in parts {
            let without = self.without_kinds(&part.scorer, &part.scores, heard)?;
            let nearest = Scorer::Tokens {
                part: TokenPart::Nearest,
            };
            columns.push(PartScores {
                is_one_class: part.scorer == nearest
                    || matches!(part.scorer, Scorer::Detector { .. }),
                scores: part.scores.clone(),
                // What can leave a kind out at all can do so for every part of a stack.
                without: without.into_iter().flatten().collect(),
            });
        }
        let kinds: Vec<Vec<usize>> = self.kinds.iter().map(|k| k.members.clone()).collect();
        let stacker = Stacker {
            parts: &columns,
            labels: self.problem.labels,
            units: self.units,
            folds: self.problem.folds,
            kinds: &kinds,
        };
        let kept = stacker.kept()?;
        let without = (0..kinds.len()).map(|k| stacker.without_kind(&kept.parts, k));
        let without = without.collect::<Result<_>>()?;
        let stacked = |&part: &usize| StackedPart {
            name: parts[part].name.clone(),
            scorer: parts[part].scorer.clone(),
        };
        let left_out = kept.dropped.iter().map(|d| LeftOut {
            name: parts[d.part].name.clone(),
            difference: d.difference,
            std_error: d.std_error,
        });
        Ok(Stacked {
            left_out: left_out.collect(),
            without,
            entrant: Entrant {
                name: "stack".to_owned(),
                rank: STACK_RANK,
                scorer: Scorer::Stack {
                    parts: kept.parts.iter().map(stacked).collect(),
                    weights: kept.stack,
                },
                scores: stacker.nested()?,
            },
        })
    }
}

struct Stacked {
    entrant: Entrant,
    left_out: Vec<LeftOut>,
    without: Vec<Vec<f32>>,
}
