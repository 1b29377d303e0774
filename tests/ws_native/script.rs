//! Plays a session script of `fixtures/ws/native/` over a real socket. A script has a time column in milliseconds, which moves the
//! dialler's playback clock, and then who does what:
//!
//! ```text
//! peer {json}            the dialler sends this text         peer audio MS LEVEL    the dialler speaks
//! peer drop              the dialler's connection breaks     fact WORDS             the driver's next fact
//! custom NAME VALUE      a field of the opening              bot speak MS LEVEL     the shard puts frames out
//! bot clear | hangup T | transfer T                          hears WORDS            the dialler's next message
//! nothing                nothing more was sent to the dialler
//! heard FROM TO LEVEL    the caller heard this level, whole, from FROM to TO
//! caller MS              so much caller audio reached the line since the last such line
//! close CODE             the worker closes
//! ```
//! `10..1490` in the time column repeats the line every 20 ms, the end left out.

use voicefleet::call::{LegFact, LegLoss, LegOrder};
use voicefleet::transport::ws::{ClientError, WsConfig};
use voicefleet::units::SampleRate;
use voicefleet::wire::ws::native::FromBot;

use crate::fake_dialler::FakeDialler;
use crate::world::{Call, World};

struct Player {
    world: World,
    dialler: Option<FakeDialler>,
    call: Option<Call>,
}

pub async fn play(text: &str) {
    let world = World::new(WsConfig::default()).await;
    let dialler = Some(world.dial().await);
    let mut player = Player { world, dialler, call: None };
    for (number, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty() && !l.starts_with('#')) {
        let (times, what) = line.split_once(char::is_whitespace).expect("a time and an action");
        let what = what.split(" //").next().unwrap_or(what).trim();
        let (from, to) = match times.split_once("..") {
            Some((from, to)) => (from.parse().unwrap(), to.parse().unwrap()),
            None => (times.parse().unwrap(), times.parse::<u64>().unwrap() + 1),
        };
        for ms in (from..to).step_by(20) {
            player.line(ms, what, &format!("line {}: {line}", number + 1)).await;
        }
    }
    drop((player.dialler, player.call));
    player.world.quiet(4).await;
}

impl Player {
    fn dialler(&mut self) -> &mut FakeDialler {
        self.dialler.as_mut().expect("a connected dialler")
    }

    async fn call(&mut self) -> &mut Call {
        if self.call.is_none() {
            self.call = Some(self.world.call().await);
        }
        self.call.as_mut().unwrap()
    }

    async fn line(&mut self, ms: u64, what: &str, at: &str) {
        if let Some(dialler) = &mut self.dialler {
            dialler.at(ms);
        }
        let (verb, rest) = what.split_once(' ').unwrap_or((what, ""));
        let words: Vec<&str> = rest.split_whitespace().collect();
        let number = |n: usize| words[n].parse::<i64>().unwrap_or_else(|_| panic!("a number at {at}"));
        match (verb, words.as_slice()) {
            ("peer", ["audio", ..]) => {
                self.dialler().speak(number(1) as usize, number(2) as i16).await;
            }
            ("peer", ["drop"]) => self.dialler = None,
            ("peer", _) => self.dialler().say(rest).await,
            ("nothing", _) => assert_eq!(self.dialler().settle().await, 0, "{at}"),
            ("fact", _) => self.fact(rest, at).await,
            ("custom", [name, value]) => {
                assert_eq!(self.call().await.opened.meta.custom.get(*name).map(String::as_str), Some(*value), "{at}");
                assert!(!self.call().await.opened.meta.custom.contains_key("event"), "{at}");
            }
            ("bot", ["speak", ..]) => {
                let put = self.call().await.speak(number(1) as usize, number(2) as i16);
                assert_eq!(put as i64, number(1) / 20, "{at}");
            }
            ("bot", ["clear"]) => self.call().await.clear(),
            ("bot", ["hangup", ..]) => self.order(LegOrder::HangUp { message: words[1..].join(" ") }).await,
            ("bot", ["transfer", to]) => self.order(LegOrder::Transfer { to: (*to).to_owned() }).await,
            ("hears", _) => {
                let heard = self.dialler().hear().await.unwrap_or_else(|error| panic!("{error} at {at}"));
                assert_eq!(in_words(&heard), rest, "{at}");
            }
            ("heard", _) => {
                let samples = self.dialler().playback.between(number(0) as u64, number(1) as u64);
                assert_eq!(samples.len() as i64, (number(1) - number(0)) * 8, "{at}");
                assert!(samples.iter().all(|&s| i64::from(s) == number(2)), "{at}: {:?}", edges(samples));
            }
            ("caller", _) => {
                self.dialler().settle().await;
                assert_eq!(self.call().await.heard().len() as i64, number(0) * 8, "{at}");
            }
            ("close", _) => {
                let closed = self.dialler().hear().await;
                assert!(
                    matches!(closed, Err(ClientError::Closed { code, .. }) if i64::from(code) == number(0)),
                    "{at}: {closed:?}"
                );
            }
            _ => panic!("an action that scripts know at {at}"),
        }
    }

    async fn order(&mut self, order: LegOrder) {
        self.call().await.order(order).await;
    }

    async fn fact(&mut self, expected: &str, at: &str) {
        let call = self.call().await;
        let fact = call.fact().await;
        let words = match &fact {
            LegFact::Started { rate } => format!("started {}", rate.hz()),
            LegFact::Answered => "answered".to_owned(),
            LegFact::HungUp { by } => format!("hungup {}", by.as_deref().unwrap_or("-")),
            LegFact::Lost(LegLoss::Closed) => "lost closed".to_owned(),
            other => format!("{other:?}"),
        };
        assert_eq!(words, expected, "{at}");
        if let LegFact::Started { rate } = fact {
            assert_eq!(rate, SampleRate::NARROW);
            call.give_line(rate);
        }
    }
}

fn in_words(message: &FromBot) -> String {
    match message {
        FromBot::Media(m) => format!("reverse-media {}", m.chunk),
        FromBot::Stop => "reverse-media-stop".to_owned(),
        FromBot::HangUp { message } => format!("reverse-hangup-call {message}"),
        FromBot::Transfer { to } => format!("reverse-call-transfer {to}"),
        other => format!("{other:?}"),
    }
}

/// Where the level changes, for a failure's text.
fn edges(samples: &[i16]) -> Vec<(usize, i16)> {
    let changes = (0..samples.len()).filter(|&n| n == 0 || samples[n] != samples[n - 1]);
    changes.map(|n| (n / 8, samples[n])).take(8).collect()
}
