//! How packets are spoiled on purpose, either way: lost, doubled, delayed, put behind the next. Pure and repeatable.

use super::sound::Dice;

/// What a bad network does, in percent of the packets or milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Impairment {
    /// Packets that are lost.
    pub loss_percent: f64,
    /// Packets that come twice.
    pub duplicate_percent: f64,
    /// Packets that come behind the next one.
    pub reorder_percent: f64,
    /// Packets are delayed by up to so much.
    pub jitter_ms: u32,
}

/// What happens to one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is lost.
    Lost,
    /// It leaves after so many milliseconds, once or twice.
    Leaves { after_ms: u32, twice: bool },
}

impl Impairment {
    /// Nothing is spoiled.
    pub(super) fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// The fate of the next packet.
    pub(super) fn fate(&self, dice: &mut Dice) -> Fate {
        if dice.chance(self.loss_percent) {
            return Fate::Lost;
        }
        let twice = dice.chance(self.duplicate_percent);
        let behind = if dice.chance(self.reorder_percent) { 25 } else { 0 };
        let jitter = if self.jitter_ms == 0 { 0 } else { (dice.roll() % u64::from(self.jitter_ms + 1)) as u32 };
        Fate::Leaves { after_ms: behind + jitter, twice }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_meet_their_fate_as_often_as_was_asked() {
        let plan = Impairment { loss_percent: 10.0, duplicate_percent: 5.0, reorder_percent: 2.0, jitter_ms: 10 };
        let mut dice = Dice(3);
        let fates: Vec<Fate> = (0..100_000).map(|_| plan.fate(&mut dice)).collect();
        let share = |wanted: fn(&Fate) -> bool| fates.iter().filter(|fate| wanted(fate)).count() as f64 / 1_000.0;
        assert!((share(|fate| *fate == Fate::Lost) - 10.0).abs() < 0.5);
        assert!((share(|fate| matches!(fate, Fate::Leaves { twice: true, .. })) - 4.5).abs() < 0.4);
        assert!((share(|fate| matches!(fate, Fate::Leaves { after_ms: 25.., .. })) - 1.8).abs() < 0.3);
        let none = Impairment::default();
        assert!(none.is_none() && none.fate(&mut dice) == Fate::Leaves { after_ms: 0, twice: false });
    }
}
