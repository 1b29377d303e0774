//! How a stream probably sounded: the E-model of ITU-T G.107, reduced to what a receiver can measure: delay, loss, runs of loss
//! and the codec. An estimate for comparing calls; it has heard nothing.

/// R of a line without impairments: G.107's default with all its other factors at their defaults.
const BEST_R: f32 = 93.2;
/// One-way delay from which talking over each other begins, in milliseconds.
const NOTICED_MS: f32 = 177.3;

/// What the estimate takes from the codec (G.113 Appendix I): the impairment of the codec itself, and how well it stands loss.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CodecImpairment {
    /// Equipment impairment factor without loss.
    pub ie: f32,
    /// Packet-loss robustness.
    pub bpl: f32,
}

impl CodecImpairment {
    /// G.711 with concealment: the values of G.113.
    pub const G711: Self = Self { ie: 0.0, bpl: 25.1 };
    /// G.722 with concealment, on the narrow-band scale, where its wider band earns nothing: an assumption, as G.113 has none.
    pub const G722: Self = Self { ie: 0.0, bpl: 13.0 };
    /// Opus at 24 kbit/s with its own concealment, on the narrow-band scale: an assumption, as G.113 has none.
    pub const OPUS: Self = Self { ie: 0.0, bpl: 20.0 };
}

/// What was measured.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Quality {
    /// From mouth to ear, one way: half the round trip, the jitter buffer and the packet.
    pub delay_ms: f32,
    /// Share of the audio that was not there when it was due, late packets included; 0 to 1.
    pub loss: f32,
    /// How much longer the runs of loss are than chance would make them; 1 for random loss.
    pub burst_ratio: f32,
}

/// The transmission rating, 0 to 93.2.
#[must_use]
pub fn r_factor(codec: CodecImpairment, quality: Quality) -> f32 {
    let sane = |value: f32, least: f32, most: f32| if value.is_nan() { least } else { value.clamp(least, most) };
    let delay = sane(quality.delay_ms, 0.0, 10_000.0);
    let late = 0.024 * delay + 0.11 * (delay - NOTICED_MS).max(0.0);
    let percent = sane(quality.loss, 0.0, 1.0) * 100.0;
    let burst = sane(quality.burst_ratio, 1.0, 100.0);
    let lossy = codec.ie + (95.0 - codec.ie) * percent / (percent / burst + codec.bpl);
    (BEST_R - late - lossy).clamp(0.0, BEST_R)
}

/// The opinion that listeners would have of a rating (G.107 Annex B): 1 to 4.5.
#[must_use]
pub fn mos_of(r: f32) -> f32 {
    if r.is_nan() || r <= 0.0 {
        return 1.0;
    }
    let r = r.min(100.0);
    (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).clamp(1.0, 4.5)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quality(delay_ms: f32, loss: f32, burst_ratio: f32) -> Quality {
        Quality { delay_ms, loss, burst_ratio }
    }

    fn g711(delay_ms: f32, loss: f32) -> f32 {
        mos_of(r_factor(CodecImpairment::G711, quality(delay_ms, loss, 1.0)))
    }

    #[test]
    fn known_points_of_the_model_are_met() {
        assert!((g711(0.0, 0.0) - 4.41).abs() < 0.01, "{}", g711(0.0, 0.0));
        assert!((mos_of(80.0) - 4.024).abs() < 0.01 && (mos_of(50.0) - 2.575).abs() < 0.01);
        // 5 % random loss on G.711 with concealment: 93.2 - 95 * 5 / 30.1.
        assert!((r_factor(CodecImpairment::G711, quality(0.0, 0.05, 1.0)) - 77.42).abs() < 0.01);
        // 300 ms: 7.2 for the delay itself, 13.5 for what lies above 177.3.
        assert!((r_factor(CodecImpairment::G711, quality(300.0, 0.0, 1.0)) - 72.50).abs() < 0.01);
        assert_eq!((mos_of(0.0), mos_of(f32::NAN)), (1.0, 1.0));
    }

    #[test]
    fn loss_in_runs_is_worse_than_the_same_scattered() {
        let random = r_factor(CodecImpairment::G711, quality(50.0, 0.05, 1.0));
        let bursts = r_factor(CodecImpairment::G711, quality(50.0, 0.05, 3.0));
        assert!(bursts < random - 1.0, "{bursts} against {random}");
    }

    proptest! {
        #[test]
        fn it_never_gets_better_by_delay_or_loss_and_stays_in_its_bounds(
            delay in 0.0_f32..2_000.0, loss in 0.0_f32..1.0, burst in 1.0_f32..9.0, more in 0.0_f32..0.5,
        ) {
            for codec in [CodecImpairment::G711, CodecImpairment::G722, CodecImpairment::OPUS] {
                let r = r_factor(codec, quality(delay, loss, burst));
                prop_assert!((0.0..=BEST_R).contains(&r) && (1.0..=4.5).contains(&mos_of(r)));
                prop_assert!(r_factor(codec, quality(delay + more * 1_000.0, loss, burst)) <= r + 1e-3);
                prop_assert!(r_factor(codec, quality(delay, loss + more, burst)) <= r + 1e-3);
            }
        }

        #[test]
        fn no_number_hurts(delay: f32, loss: f32, burst: f32) {
            let mos = mos_of(r_factor(CodecImpairment::G711, quality(delay, loss, burst)));
            prop_assert!((1.0..=4.5).contains(&mos));
        }
    }
}
