//! AdamW, written out so that its state can be saved and a run resumes bit for bit: `tch`'s own
//! optimizers keep theirs on the C++ side.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// Adam with decoupled weight decay (Loshchilov and Hutter, 2019), as `torch.optim.AdamW`.
pub struct AdamW {
    /// Shrinks every weight by this share of the learning rate at each update.
    pub weight_decay: f64,
    /// Updates done.
    pub updates: i32,
    /// First and second moment of each parameter's gradient, by name.
    pub moments: BTreeMap<String, (Tensor, Tensor)>,
}

impl AdamW {
    /// An optimizer that has seen no gradient.
    pub fn new(parameters: &BTreeMap<String, Tensor>, weight_decay: f64) -> Self {
        let zeros = |tensor: &Tensor| tensor.zeros_like().set_requires_grad(false);
        let moments = parameters
            .iter()
            .map(|(name, parameter)| (name.clone(), (zeros(parameter), zeros(parameter))))
            .collect();
        Self { weight_decay, updates: 0, moments }
    }

    /// One update from the parameters' gradients, which are cleared.
    pub fn step(&mut self, parameters: &BTreeMap<String, Tensor>, learning_rate: f64) {
        self.updates += 1;
        let correction1 = 1.0 - BETA1.powi(self.updates);
        let correction2 = 1.0 - BETA2.powi(self.updates);
        tch::no_grad(|| {
            for (name, parameter) in parameters {
                let mut gradient = parameter.grad();
                let Some((first, second)) = self.moments.get_mut(name) else { continue };
                let mut parameter = parameter.shallow_clone();
                let _ = parameter.g_mul_scalar_(1.0 - learning_rate * self.weight_decay);
                let _ = first.lerp_(&gradient, 1.0 - BETA1);
                let _ = second.g_mul_scalar_(BETA2);
                let _ = second.addcmul_(&(&gradient * (1.0 - BETA2)), &gradient);
                let denominator = second.sqrt() / correction2.sqrt() + EPSILON;
                let _ =
                    parameter.addcdiv_(&(&*first * (-learning_rate / correction1)), &denominator);
                let _ = gradient.zero_();
            }
        });
    }
}

/// Scales all gradients down so that their joint norm is at most `limit`.
pub fn clip_gradients(parameters: &BTreeMap<String, Tensor>, limit: f64) {
    tch::no_grad(|| {
        let squares: Vec<Tensor> = parameters
            .values()
            .map(|parameter| parameter.grad().square().sum(Kind::Float))
            .collect();
        let norm = Tensor::stack(&squares, 0).sum(Kind::Float).double_value(&[]).sqrt();
        if norm > limit {
            for parameter in parameters.values() {
                let _ = parameter.grad().g_mul_scalar_(limit / (norm + 1e-6));
            }
        }
    });
}

/// How the learning rate moves over a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// The same rate throughout.
    Constant,
    /// From the peak down to nothing along a half cosine.
    Cosine,
    /// Up from a 25th for 30 % of the run, then down to nothing, both along half cosines
    /// (Smith and Topin, 2018; the shape of `torch.optim.lr_scheduler.OneCycleLR`).
    OneCycle,
}

impl Schedule {
    /// Learning rate of update `update` out of `updates`.
    pub fn rate(self, peak: f64, update: usize, updates: usize) -> f64 {
        let along = update as f64 / updates.max(1) as f64;
        let half_cosine = |from: f64, to: f64, along: f64| {
            to + (from - to) * 0.5 * (1.0 + (std::f64::consts::PI * along).cos())
        };
        const WARM_UP: f64 = 0.3;
        match self {
            Self::Constant => peak,
            Self::Cosine => half_cosine(peak, 0.0, along),
            Self::OneCycle if along < WARM_UP => half_cosine(peak / 25.0, peak, along / WARM_UP),
            Self::OneCycle => half_cosine(peak, 0.0, (along - WARM_UP) / (1.0 - WARM_UP)),
        }
    }
}
