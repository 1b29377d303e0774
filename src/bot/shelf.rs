//! The bots of the fleet and how each one's file fares: a good file replaces the version before it, a broken one leaves it in
//! place and says so, a removed one takes its bot away. Calls hold their version by `Arc`. Never reads a file itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::file::version_of;
use super::{Bot, Fault};
use crate::units::BotId;

/// Every bot by the stem of its file.
#[derive(Debug, Default)]
pub struct BotShelf {
    slots: BTreeMap<String, Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    /// The newest version without a fault.
    bot: Option<Arc<Bot>>,
    /// What is wrong with the file as it stands now.
    faults: Vec<Fault>,
    /// The version of the bytes that were judged last; `None` where they could not be read.
    seen: Option<String>,
}

/// How one bot fares, for pages and the start.
#[derive(Clone, Debug, PartialEq)]
pub struct BotStatus {
    /// The stem of its file.
    pub id: BotId,
    /// Its name; the stem where no version of it was ever good.
    pub name: String,
    /// The version that new calls get; `None` where no version was ever good.
    pub version: Option<String>,
    /// What is wrong with the file as it stands; new calls get the version before it.
    pub fault: Option<Vec<Fault>>,
}

/// What a file's arrival or departure did.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A good file: new calls take this version.
    Loaded {
        /// The bot.
        id: BotId,
        /// Its version now.
        version: String,
    },
    /// A broken file: new calls go on with `kept`, where there is one.
    Broken {
        /// The bot.
        id: BotId,
        /// The version that stays.
        kept: Option<String>,
        /// Everything that is wrong.
        faults: Vec<Fault>,
    },
    /// The file is gone: new calls do not find the bot.
    Removed {
        /// The bot.
        id: BotId,
    },
}

impl BotShelf {
    /// The version of `id` that a new call takes.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Arc<Bot>> {
        self.slots.get(id)?.bot.clone()
    }

    /// All bots, the broken ones too, by id.
    #[must_use]
    pub fn list(&self) -> Vec<BotStatus> {
        let status = |(stem, slot): (&String, &Slot)| BotStatus {
            id: BotId::new(stem),
            name: slot.bot.as_ref().map_or_else(|| stem.clone(), |bot| bot.name.clone()),
            version: slot.bot.as_ref().map(|bot| bot.version.clone()),
            fault: (!slot.faults.is_empty()).then(|| slot.faults.clone()),
        };
        self.slots.iter().map(status).collect()
    }

    /// Everything that is wrong with the files as they stand.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        self.slots.values().flat_map(|slot| slot.faults.iter().cloned()).collect()
    }

    /// Have exactly these bytes been judged already.
    #[must_use]
    pub fn knows(&self, stem: &str, bytes: &[u8]) -> bool {
        self.slots.get(stem).is_some_and(|slot| slot.seen.as_deref() == Some(&version_of(bytes)))
    }

    /// Puts in what [`Bot::parse`] made of `bytes`; nothing happens where the shelf knows them.
    pub fn put(&mut self, stem: &str, bytes: &[u8], parsed: Result<Bot, Vec<Fault>>) -> Option<Change> {
        if self.knows(stem, bytes) {
            return None;
        }
        let slot = self.slots.entry(stem.to_owned()).or_default();
        slot.seen = Some(version_of(bytes));
        Some(slot.place(stem, parsed))
    }

    /// The file is there and cannot be read.
    pub fn put_unreadable(&mut self, stem: &str, fault: Fault) -> Option<Change> {
        let slot = self.slots.entry(stem.to_owned()).or_default();
        if slot.seen.is_none() && slot.faults.first() == Some(&fault) {
            return None;
        }
        slot.seen = None;
        Some(slot.place(stem, Err(vec![fault])))
    }

    /// Takes every bot away whose file is not among `stems`.
    pub fn keep_only(&mut self, stems: &BTreeSet<String>) -> Vec<Change> {
        let mut gone = Vec::new();
        self.slots.retain(|stem, _| {
            let stays = stems.contains(stem);
            if !stays {
                gone.push(Change::Removed { id: BotId::new(stem) });
            }
            stays
        });
        gone
    }
}

impl Slot {
    fn place(&mut self, stem: &str, parsed: Result<Bot, Vec<Fault>>) -> Change {
        let id = BotId::new(stem);
        match parsed {
            Ok(bot) => {
                let version = bot.version.clone();
                (self.bot, self.faults) = (Some(Arc::new(bot)), Vec::new());
                Change::Loaded { id, version }
            }
            Err(faults) => {
                self.faults.clone_from(&faults);
                Change::Broken { id, kept: self.bot.as_ref().map(|bot| bot.version.clone()), faults }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(shelf: &mut BotShelf, stem: &str, text: &str) -> Option<Change> {
        shelf.put(stem, text.as_bytes(), Bot::parse(stem, "f", text.as_bytes()))
    }

    fn good(name: &str) -> String {
        format!("name = \"{name}\"\nopening_message = \"Hello\"\n[providers]\nllm = \"standin\"\n")
    }

    #[test]
    fn a_broken_file_keeps_the_old_version_and_says_so() {
        let mut shelf = BotShelf::default();
        assert!(matches!(put(&mut shelf, "a", &good("One")), Some(Change::Loaded { .. })));
        let first = shelf.get("a").unwrap();
        assert_eq!(put(&mut shelf, "a", &good("One")), None, "the same bytes change nothing");
        let Some(Change::Broken { kept, faults, .. }) = put(&mut shelf, "a", "name = 5\nbad = 1\n") else {
            panic!("a broken file is said to be broken")
        };
        assert_eq!(kept, Some(first.version.clone()));
        assert!(faults.len() >= 2);
        assert!(Arc::ptr_eq(&shelf.get("a").unwrap(), &first));
        let status = shelf.list().remove(0);
        assert_eq!((status.name.as_str(), status.fault.is_some()), ("One", true));
        assert_eq!(put(&mut shelf, "a", "name = 5\nbad = 1\n"), None, "a fault is said once");
        put(&mut shelf, "a", &good("Two"));
        assert_eq!(shelf.get("a").unwrap().name, "Two");
        assert_eq!(shelf.faults(), []);
        assert_eq!(first.name, "One", "a running call keeps its version");
    }

    #[test]
    fn a_removed_file_removes_its_bot_only() {
        let mut shelf = BotShelf::default();
        put(&mut shelf, "a", &good("A"));
        put(&mut shelf, "b", "broken =");
        assert_eq!(shelf.get("b"), None);
        assert_eq!(shelf.list()[1].version, None);
        let gone = shelf.keep_only(&BTreeSet::from(["a".to_owned()]));
        assert_eq!(gone, [Change::Removed { id: BotId::new("b") }]);
        assert!(shelf.get("a").is_some());
    }

    #[test]
    fn an_unreadable_file_is_said_once_and_heals() {
        let mut shelf = BotShelf::default();
        put(&mut shelf, "a", &good("A"));
        let fault = || Fault {
            file: "f".to_owned(),
            key: "file".to_owned(),
            value: "permission denied".to_owned(),
            expected: "a readable file".to_owned(),
        };
        assert!(matches!(shelf.put_unreadable("a", fault()), Some(Change::Broken { kept: Some(_), .. })));
        assert_eq!(shelf.put_unreadable("a", fault()), None);
        assert!(
            matches!(put(&mut shelf, "a", &good("A")), Some(Change::Loaded { .. })),
            "the same bytes are good again"
        );
        assert_eq!(shelf.faults(), []);
    }
}
