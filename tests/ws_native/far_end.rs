//! The fake dialler's own model, so that what it says a caller heard can be believed.

use crate::fake_dialler::{Overflow, Playback};

#[test]
fn what_was_queued_is_heard_when_the_clock_gets_there() {
    let mut playback = Playback::new(8000);
    playback.advance_to(10);
    playback.push(&[5; 160]);
    playback.advance_to(20);
    assert_eq!((playback.between(0, 10), playback.between(10, 20)), ([0; 80].as_slice(), [5; 80].as_slice()));
    playback.stop();
    playback.advance_to(40);
    assert_eq!((playback.between(20, 40), playback.stopped), ([0; 160].as_slice(), 80));
}

#[test]
fn a_full_buffer_drops_by_its_rule() {
    for (overflow, kept) in [(Overflow::DropNew, [1, 1, 2]), (Overflow::DropOld, [2, 3, 3])] {
        let mut playback = Playback::new(8000);
        (playback.depth, playback.overflow) = (3, overflow);
        playback.push(&[1, 1, 2, 3, 3]);
        playback.advance_to(1);
        assert_eq!((&playback.heard[..4], playback.overflowed), ([kept[0], kept[1], kept[2], 0].as_slice(), 2));
    }
}

#[test]
fn a_fast_far_clock_plays_more_samples_in_the_same_time() {
    let mut playback = Playback::new(8000);
    playback.drift_ppm = 1_000;
    playback.advance_to(10_000);
    assert_eq!(playback.heard.len(), 80_080);
}
