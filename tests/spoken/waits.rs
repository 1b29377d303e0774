//! The small form of the latency proof; the long one, over more turns, is in `make soak`.

use crate::latency::parts_are_the_whole;
use crate::worker::world;

/// One caller of each bot.
const SHORT: [&str; 2] = ["promises for friday", "books and asks the hours"];

#[test]
fn the_parts_of_a_wait_are_the_whole() {
    parts_are_the_whole(world(), &SHORT, 8);
}
