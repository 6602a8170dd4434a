//! Which cells wait, which may run now, and which run.

use super::attempt::Attempt;
use super::outcome::Settled;
use super::{Failed, Grant, Outcome, Schedule, is_network, standing_reason};
use crate::Failure;
use crate::clock::Stopwatch;
use segad_core::{CellKind, Device};
use segad_grid::CellIndex;
use segad_store::StoreError;
use std::collections::{BTreeSet, HashMap};

/// A cell that may run, and what it may use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ready {
    pub id: CellIndex,
    pub grant: Grant,
    network: bool,
}

/// Networks first, since they take longest and all else needs them; then kind by kind, since
/// finishing one kind frees what needs it.
type Order = (Option<CellKind>, CellIndex);

/// The cells that are still to be computed.
pub(super) struct Frontier<'a> {
    schedule: &'a Schedule<'a>,
    /// Neither computed nor failed.
    waiting: BTreeSet<CellIndex>,
    /// For each waiting cell, how many of its needs wait.
    unmet: HashMap<CellIndex, usize>,
    /// For each cell, the waiting ones that need it.
    dependents: HashMap<CellIndex, Vec<CellIndex>>,
    /// May run now.
    ready: BTreeSet<Order>,
    /// Being computed by others, and since when we know.
    aside: Vec<(Stopwatch, CellIndex)>,
    /// How many run here.
    running: usize,
    /// Where a network may start.
    free: Vec<Device>,
    /// Memory that they were given.
    granted: u64,
    /// The part of the memory that every network may have.
    share: u64,
    outcome: Outcome,
}

impl<'a> Frontier<'a> {
    /// All cells that the store lacks, but for failures of earlier runs that stand, for inputs that
    /// are missing, and for what needs either.
    ///
    /// # Errors
    /// The store's, if it cannot be asked.
    pub(super) fn new(schedule: &'a Schedule<'a>) -> Result<Self, StoreError> {
        let plan = schedule.plan;
        let stored = schedule.store.committed()?;
        let all = plan.needed_for(schedule.wanted, |_, _| false);
        let needed = plan.needed_for(schedule.wanted, |kind, key| stored.contains(kind, key));
        let mut frontier = Self {
            schedule,
            waiting: needed.iter().copied().collect(),
            unmet: HashMap::new(),
            dependents: HashMap::new(),
            ready: BTreeSet::new(),
            aside: Vec::new(),
            running: 0,
            // Taken from the end.
            free: schedule.resources.networks.iter().rev().copied().collect(),
            granted: 0,
            share: 0,
            outcome: Outcome {
                // Also counts cells that nobody needs because what they lead to is stored.
                stored: all.len() - needed.len(),
                ..Outcome::default()
            },
        };
        for &id in &needed {
            let needs = plan.cells[id.0].needs.iter();
            let open: Vec<CellIndex> = needs
                .copied()
                .filter(|need| frontier.waiting.contains(need))
                .collect();
            frontier.unmet.insert(id, open.len());
            for need in open {
                frontier.dependents.entry(need).or_default().push(id);
            }
        }
        for id in needed {
            frontier.refuse(id);
        }
        let startable = frontier.waiting.iter().filter(|id| frontier.unmet[id] == 0);
        frontier.ready = startable.map(|&id| frontier.order(id)).collect();
        let networks = frontier
            .waiting
            .iter()
            .filter(|&&id| frontier.is_network(id));
        let side_by_side = networks.count().min(schedule.resources.threads).max(1);
        frontier.share = schedule.resources.memory / side_by_side as u64;
        Ok(frontier)
    }

    /// Takes a cell out that cannot run or is not to be tried again.
    fn refuse(&mut self, id: CellIndex) {
        let Schedule {
            plan,
            store,
            policy,
            bars,
            ..
        } = self.schedule;
        let cell = &plan.cells[id.0];
        if !self.waiting.contains(&id) {
            return;
        }
        if let Some(missing) = &cell.missing {
            bars.line(&format!("cannot run {cell}: {missing}"));
            self.fail(id, Failed::Own(Failure::Input(missing.clone())));
        } else if let Some(failure) = policy.standing(store, cell.kind, &cell.key) {
            let cause = Failure::with_code(failure.exit_code, standing_reason(&failure));
            self.fail(id, Failed::Own(cause));
        }
    }

    /// The cells that wait.
    pub(super) fn open(self) -> Vec<CellIndex> {
        self.waiting.into_iter().collect()
    }

    /// Settles what waits as failed, for a reason that `lost` gives.
    pub(super) fn give_up(&mut self, lost: &dyn Fn(CellIndex) -> Failure) {
        // Each takes what needs it along, so that nothing waits in the end.
        while let Some((_, id)) = self.ready.pop_first() {
            self.settle_failed(id, Failed::Own(lost(id)));
        }
    }

    /// How many cells wait, those that run included.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing is left that could run now or later.
    pub(super) fn is_exhausted(&self) -> bool {
        self.running == 0 && self.ready.is_empty() && self.aside.is_empty()
    }

    /// The first cell that may run with what is left of the resources.
    pub(super) fn take(&mut self) -> Option<Ready> {
        let patience = self.schedule.store.patience();
        let (due, aside) = std::mem::take(&mut self.aside)
            .into_iter()
            .partition::<Vec<_>, _>(|(since, _)| since.elapsed() >= patience);
        self.aside = aside;
        for (_, id) in due {
            self.ready.insert(self.order(id));
        }
        let found = self.ready.iter().find_map(|&order| {
            let ready = self.grant(order.1);
            self.fits(&ready).then_some((order, ready))
        });
        let (order, ready) = found?;
        self.ready.remove(&order);
        self.running += 1;
        if ready.network {
            self.free.pop();
        }
        self.granted += ready.grant.memory;
        Some(ready)
    }

    /// What a cell is to have: a network its share of the memory, or as much as it cannot do
    /// without.
    fn grant(&self, id: CellIndex) -> Ready {
        let network = self.is_network(id);
        let memory = match network {
            true => {
                let least = self.schedule.execute.least_memory(self.schedule.plan, id);
                least.max(self.share).min(self.schedule.resources.memory)
            }
            // Statistics and forests keep one image or table at a time.
            false => 0,
        };
        // Light cells use no device; a network that has to wait is offered one again later.
        let device = self.free.last().filter(|_| network).copied();
        let device = device.unwrap_or(Device::Cpu);
        Ready {
            id,
            grant: Grant { memory, device },
            network,
        }
    }

    /// Whether a cell fits beside those that run; one alone always does.
    fn fits(&self, ready: &Ready) -> bool {
        let resources = &self.schedule.resources;
        let alone = self.free.len() == resources.networks.len();
        let memory_left = self.granted.saturating_add(ready.grant.memory) <= resources.memory;
        !ready.network || !self.free.is_empty() && (alone || memory_left)
    }

    /// Takes note of what came of a cell; `None`: its thread panicked.
    pub(super) fn give_back(&mut self, ready: Ready, attempt: Option<Attempt>) {
        self.running -= 1;
        if ready.network {
            self.free.push(ready.grant.device);
        }
        self.granted -= ready.grant.memory;
        match attempt {
            Some(Attempt::Done(Ok(settled))) => self.succeed(ready.id, settled),
            Some(Attempt::Done(Err(failed))) => {
                self.outcome.interrupted |= failed == Failed::Cancelled;
                self.settle_failed(ready.id, failed);
            }
            Some(Attempt::NotNow) => self.aside.push((Stopwatch::start(), ready.id)),
            None => {}
        }
    }

    fn succeed(&mut self, id: CellIndex, settled: Settled) {
        self.waiting.remove(&id);
        let kind = self.schedule.plan.cells[id.0].kind;
        match settled {
            Settled::Here(seconds) => {
                self.outcome.computed += 1;
                *self.outcome.seconds.entry(kind).or_default() += seconds;
            }
            Settled::Elsewhere => self.outcome.by_others += 1,
        }
        for dependent in self.dependents.remove(&id).unwrap_or_default() {
            let unmet = self.unmet.entry(dependent).or_default();
            *unmet = unmet.saturating_sub(1);
            if *unmet == 0 && self.waiting.contains(&dependent) {
                self.ready.insert(self.order(dependent));
            }
        }
    }

    /// Takes out a cell and everything that needs it, and tells why.
    fn settle_failed(&mut self, id: CellIndex, failed: Failed) {
        self.fail(id, failed);
        if let Some(reason) = self.outcome.reason(self.schedule.plan, id) {
            let cell = &self.schedule.plan.cells[id.0];
            self.schedule
                .bars
                .line(&format!("failed: {cell}: {reason}"));
        }
    }

    /// Takes out a cell and everything that needs it.
    fn fail(&mut self, id: CellIndex, failed: Failed) {
        let above = match &failed {
            Failed::Own(_) => Failed::Needs(id),
            Failed::Needs(_) | Failed::Cancelled => failed.clone(),
        };
        self.waiting.remove(&id);
        self.outcome.failed.insert(id, failed);
        let mut open = self.dependents.remove(&id).unwrap_or_default();
        while let Some(next) = open.pop() {
            if self.waiting.remove(&next) {
                self.outcome.failed.insert(next, above.clone());
                open.extend(self.dependents.remove(&next).unwrap_or_default());
            }
        }
    }

    /// The end of a run; whatever waits still was left because of Ctrl-C.
    pub(super) fn finish(mut self) -> Outcome {
        self.outcome.interrupted |= !self.waiting.is_empty();
        self.outcome
    }

    fn order(&self, id: CellIndex) -> Order {
        let kind = self.schedule.plan.cells[id.0].kind;
        ((!self.is_network(id)).then_some(kind), id)
    }

    fn is_network(&self, id: CellIndex) -> bool {
        is_network(self.schedule.plan.cells[id.0].kind)
    }
}
