//! `voicefleet check`: lints the configuration file, the environment, every bot and every trunk, and reports all faults at once. Never starts
//! anything, opens no port, writes no file.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use crate::bot::Fault;
use crate::bot::io::BotFolder;
use crate::config::{self, Overrides};
use crate::trunk::io::TrunkFolder;
use crate::units::Stamp;

/// What the check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckReport {
    /// All faults: the configuration's first, then the bots' and the trunks' by file.
    pub faults: Vec<Fault>,
    /// Bots without a fault.
    pub sound_bots: usize,
    /// The folder they were read from.
    pub bots_dir: String,
}

/// Checks the configuration that `serve` would load with the same arguments. Where a key is at fault the check goes on with its
/// default, so that the bots are linted too.
#[must_use]
pub fn check(
    config_path: Option<&Path>,
    env: impl IntoIterator<Item = (String, String)>,
    overrides: &Overrides,
    now: Stamp,
) -> CheckReport {
    let resolved = config::read(config_path, env, overrides);
    let folder = BotFolder::open(&resolved.config.bots.dir, now);
    let sound_bots = folder.list().iter().filter(|status| status.fault.is_none()).count();
    let mut faults = resolved.faults;
    faults.extend(folder.faults());
    let trunks = TrunkFolder::open(&resolved.config.sip.trunks, now);
    faults.extend(trunks.faults());
    // A bot at fault is there, and told of above.
    faults.extend(trunks.missing_bots(|bot| folder.list().iter().any(|status| status.id.as_str() == bot)));
    CheckReport { faults, sound_bots, bots_dir: resolved.config.bots.dir.display().to_string() }
}

impl CheckReport {
    /// 0 where nothing is wrong, else 1.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(u8::from(!self.faults.is_empty()))
    }

    /// Prints the report.
    #[expect(clippy::print_stdout, reason = "the command's answer")]
    pub fn print(&self) {
        println!("{self}");
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.faults {
            writeln!(f, "{fault}")?;
        }
        let bots = match self.sound_bots {
            1 => "1 bot is sound".to_owned(),
            bots => format!("{bots} bots are sound"),
        };
        match self.faults.len() {
            0 => write!(f, "No fault found; {bots} ({}).", self.bots_dir),
            1 => write!(f, "1 fault found; {bots} ({}).", self.bots_dir),
            faults => write!(f, "{faults} faults found; {bots} ({}).", self.bots_dir),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(path: &str) -> String {
        format!("{}/fixtures/{path}", env!("CARGO_MANIFEST_DIR"))
    }

    fn bots_in(path: &str) -> [(String, String); 1] {
        [("VOICEFLEET__BOTS__DIR".to_owned(), fixture(path))]
    }

    fn run(config: &str, bots: &str) -> CheckReport {
        check(Some(Path::new(&fixture(config))), bots_in(bots), &Overrides::default(), Stamp::default())
    }

    #[test]
    fn a_sound_configuration_passes() {
        let report = run("../config/voicefleet.toml", "../config/bots");
        assert_eq!(report.faults, []);
        assert!(report.sound_bots >= 1);
        assert_eq!(report.exit_code(), ExitCode::SUCCESS);
        assert!(report.to_string().starts_with("No fault found; "), "{report}");
    }

    #[test]
    fn a_trunk_that_names_a_bot_who_is_not_there_is_a_fault() {
        let report = run("../config/voicefleet.toml", "bots");
        let told: Vec<(&str, &str)> =
            report.faults.iter().map(|fault| (fault.key.as_str(), fault.value.as_str())).collect();
        let expected = [
            ("inbound.bot", "\"payment-reminder\""),
            ("inbound.route.0.bot", "\"appointment-desk\""),
            ("inbound.route.1.bot", "\"appointment-desk\""),
        ];
        assert_eq!(told, expected);
        assert!(report.faults.iter().all(|fault| fault.file.ends_with("loopback.toml")), "{report}");
        assert_eq!(report.exit_code(), ExitCode::FAILURE);
    }

    #[test]
    fn the_faults_of_all_files_come_at_once() {
        let report = run("broken/config/every_section.toml", "broken/bots");
        let of = |file: &str| report.faults.iter().filter(|fault| fault.file.ends_with(file)).count();
        // Fourteen in the text, and the key file that it names does not exist.
        assert_eq!(of("every_section.toml"), 15);
        assert_eq!((of("every_key_wrong.toml"), of("templates.toml"), of("empty.toml")), (21, 6, 2));
        assert_eq!(report.sound_bots, 0);
        assert_eq!(report.exit_code(), ExitCode::FAILURE);
        assert_eq!(report.to_string().lines().count(), report.faults.len() + 1);
    }
}
