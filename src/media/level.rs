//! Loudness changes that cannot wrap: gain and mixing, both saturating. Levels themselves are measured by `units::dbfs`.

/// The linear factor for a change of `db` decibels.
#[must_use]
pub fn factor(db: f32) -> f32 {
    10.0_f32.powf(db / 20.0)
}

/// Multiplies every sample by `factor`, clipping at full scale.
pub fn gain(samples: &mut [i16], factor: f32) {
    for sample in samples {
        // A float-to-integer cast saturates, which is the clipping wanted.
        *sample = (f32::from(*sample) * factor) as i16;
    }
}

/// Adds `other` onto `samples` up to the shorter of the two, clipping at full scale.
pub fn mix(samples: &mut [i16], other: &[i16]) {
    for (sample, &more) in samples.iter_mut().zip(other) {
        *sample = sample.saturating_add(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gain_and_mix_clip_and_never_wrap() {
        let mut samples = [20_000, -20_000, 100];
        gain(&mut samples, 2.0);
        assert_eq!(samples, [i16::MAX, i16::MIN, 200]);
        mix(&mut samples, &[1, -1, -300, 5]);
        assert_eq!(samples, [i16::MAX, i16::MIN, -100]);
    }

    #[test]
    fn six_decibels_are_a_factor_of_two() {
        assert!((factor(6.0206) - 2.0).abs() < 1e-3);
        assert!((factor(-20.0) - 0.1).abs() < 1e-6);
    }
}
