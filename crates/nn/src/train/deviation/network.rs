//! A backbone with heads of its own under the names that the official DevNet and DRA save, all of
//! it trained.

use crate::train::{initialise, pytorch_default};
use crate::{BackboneKind, NnError, Parameter, TrainableBackbone, Weights, add_variables};
use segad_core::Seed;
use std::collections::BTreeMap;
use tch::Tensor;
use tch::nn::VarStore;

/// Where the backbone's state begins; its classification head may follow there and is not used.
const NET: &str = "feature_extractor.net.";

/// The backbone up to its last tap and the variables of its heads.
pub struct HeadedBackbone {
    /// Backbone and heads under the published names.
    pub store: VarStore,
    backbone: TrainableBackbone,
}

fn below_net(parameters: Vec<Parameter>) -> impl Iterator<Item = Parameter> {
    parameters.into_iter().map(|p| Parameter {
        name: format!("{NET}{}", p.name),
        ..p
    })
}

/// The state under the published names: the backbone, then its heads.
pub fn published_parameters(kind: BackboneKind, heads: Vec<Parameter>) -> Vec<Parameter> {
    let backbone = kind
        .parameters(Some(kind.last_tap()))
        .expect("every backbone has its last tap");
    below_net(backbone).chain(heads).collect()
}

impl HeadedBackbone {
    /// The backbone with its weights, the heads as PyTorch's layers start.
    ///
    /// # Errors
    /// As [`TrainableBackbone::new`].
    pub fn new(
        kind: BackboneKind,
        heads: &[Parameter],
        weights: &Weights,
        seed: Seed,
        device: tch::Device,
    ) -> Result<Self, NnError> {
        let store = VarStore::new(device);
        add_variables(&store.root(), heads)?;
        // The backbone's variables come after this: they start with its weights.
        initialise(&store, seed, pytorch_default(&store))?;
        let net = NET
            .split_terminator('.')
            .fold(store.root(), |path, part| path / part);
        let backbone = TrainableBackbone::new(kind, kind.last_tap(), weights, &net)?;
        // The path borrows the store.
        drop(net);
        Ok(Self { store, backbone })
    }

    /// With the state of a trained network of `method`. Published files may also hold the
    /// backbone's own head, saved models the tensors `more`; neither is read.
    ///
    /// # Errors
    /// [`NnError::WeightNames`] and [`NnError::WeightShape`] for the state of another network.
    pub fn read(
        method: &str,
        kind: BackboneKind,
        heads: Vec<Parameter>,
        more: &[Parameter],
        state: &Weights,
        device: tch::Device,
    ) -> Result<Self, NnError> {
        let known: Vec<Parameter> = below_net(kind.parameters(None)?)
            .chain(more.iter().cloned())
            .collect();
        let required = published_parameters(kind, heads.clone());
        state.check_against(method, &required, &known)?;
        let network = Self::new(kind, &heads, &state.below(NET), Seed(0), device)?;
        // The backbone has its values already; the heads were drawn.
        for (name, mut variable) in network.store.variables() {
            tch::no_grad(|| variable.f_copy_(&state.tensors()[&name]))?;
        }
        Ok(network)
    }

    /// Features of the last tap; see [`TrainableBackbone::forward`].
    ///
    /// # Errors
    /// As there.
    pub fn features(&self, images: &Tensor, train: bool) -> Result<Tensor, NnError> {
        self.backbone.forward(images, train)
    }

    /// The state under the published names, f32.
    pub fn tensors(&self) -> BTreeMap<String, Tensor> {
        self.store.variables().into_iter().collect()
    }

    /// A variable by name.
    ///
    /// # Errors
    /// [`NnError::WeightNames`] if there is none.
    pub fn variable(&self, name: &str) -> Result<Tensor, NnError> {
        let all = self.store.variables();
        let found = all.get(name).map(Tensor::shallow_clone);
        found.ok_or_else(|| NnError::WeightNames {
            network: "network".into(),
            missing: vec![name.to_owned()],
            unexpected: vec![],
        })
    }
}
