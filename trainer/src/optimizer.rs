//! AdamW, written out so that a checkpoint can hold its state: `tch` does not expose the state of libtorch's optimizers.
//!
//! All parameters are one vector, so an update takes a dozen operations, not a dozen per parameter. On a GPU such small
//! operations would take less time than their launch.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// Adam with decoupled weight decay (Loshchilov and Hutter, 2019), as `torch.optim.AdamW`.
pub struct AdamW {
    /// Weight decay: each update shrinks every weight by this factor times the learning rate.
    pub weight_decay: f64,
    /// Number of updates so far.
    pub updates: i32,
    /// First moment of the gradient.
    pub first: Tensor,
    /// Second moment of the gradient.
    pub second: Tensor,
}

impl AdamW {
    /// An optimizer for a vector of parameters, before its first update.
    pub fn new(parameters: &Tensor, weight_decay: f64) -> Self {
        let (first, second) = (parameters.zeros_like(), parameters.zeros_like());
        Self { weight_decay, updates: 0, first, second }
    }

    /// Updates the parameters with their gradient; both are vectors.
    pub fn step(&mut self, parameters: &Tensor, gradient: &Tensor, learning_rate: f64) {
        self.updates += 1;
        let correction1 = 1.0 - BETA1.powi(self.updates);
        let correction2 = 1.0 - BETA2.powi(self.updates);
        tch::no_grad(|| {
            let mut parameters = parameters.shallow_clone();
            let _ = parameters.g_mul_scalar_(1.0 - learning_rate * self.weight_decay);
            let _ = self.first.lerp_(gradient, 1.0 - BETA1);
            let _ = self.second.g_mul_scalar_(BETA2);
            let _ = self.second.addcmul_(&(gradient * (1.0 - BETA2)), gradient);
            let denominator = self.second.sqrt() / correction2.sqrt() + EPSILON;
            let change = &self.first * (-learning_rate / correction1);
            let _ = parameters.addcdiv_(&change, &denominator);
        });
    }
}

/// Scales a gradient down so that its norm is at most `limit`.
pub fn clip(gradient: &mut Tensor, limit: f64) {
    tch::no_grad(|| {
        let norm = gradient.square().sum(Kind::Float).sqrt();
        // Without reading the norm on the host, which would wait for the GPU's queue.
        let _ = gradient.g_mul_(&((norm + 1e-6).reciprocal() * limit).clamp_max(1.0));
    });
}

/// Learning-rate schedule of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    Constant,
    // From the peak to zero along a half cosine.
    Cosine,
    // From 1/25 of the peak to the peak in 30 % of the run, then to zero, both along half cosines
    // (Smith and Topin, 2018; the shape of `torch.optim.lr_scheduler.OneCycleLR`).
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::network::values;

    /// Twenty steps agree with libtorch's AdamW.
    #[test]
    fn adamw_agrees_with_libtorch() {
        use tch::nn::{self, OptimizerConfig};
        let store = nn::VarStore::new(Device::Cpu);
        let start = Tensor::from_slice(&[0.5f32, -1.0, 2.0]);
        let mut theirs = store.root().zeros("w", &[3]);
        tch::no_grad(|| theirs.copy_(&start));
        let mut their_optimizer =
            nn::AdamW { wd: 0.1, ..Default::default() }.build(&store, 1e-2).unwrap();
        let ours = start.copy();
        let mut our_optimizer = AdamW::new(&ours, 0.1);
        for _ in 0..20 {
            their_optimizer.backward_step(&(&theirs - 0.3).pow_tensor_scalar(2).sum(Kind::Float));
            our_optimizer.step(&ours, &((&ours - 0.3) * 2.0), 1e-2);
        }
        let (ours, theirs) = (values(&ours), values(&theirs));
        let worst = ours.iter().zip(theirs).fold(0f32, |most, (a, b)| most.max((a - b).abs()));
        assert!(worst < 1e-6);
    }

    #[test]
    fn long_gradients_are_clipped_and_short_ones_are_not() {
        let mut long = Tensor::from_slice(&[3.0f32, -4.0]);
        clip(&mut long, 1.0);
        let clipped = values(&long);
        assert!((clipped[0] - 0.6).abs() < 1e-6 && (clipped[1] + 0.8).abs() < 1e-6);
        let mut short = Tensor::from_slice(&[0.3f32, -0.4]);
        clip(&mut short, 1.0);
        assert_eq!(values(&short), [0.3, -0.4]);
        let mut none = Tensor::from_slice(&[0.0f32, 0.0]);
        clip(&mut none, 1.0);
        assert_eq!(values(&none), [0.0, 0.0]);
        // NaN stays NaN, so that the loss is refused.
        let mut lost = Tensor::from_slice(&[f32::NAN, 1.0]);
        clip(&mut lost, 1.0);
        assert!(values(&lost)[0].is_nan());
    }
}
