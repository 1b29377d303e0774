//! What a process costs, read from `/proc` when somebody asks. Never fails: what cannot be read is zero.

use std::fs;

/// Ticks per second in `/proc/self/stat`: fixed at 100 for user space on Linux x86_64 and aarch64.
const TICKS_PER_SECOND: f64 = 100.0;

/// The process at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessSample {
    /// Memory in use (resident), in bytes.
    pub resident_bytes: u64,
    /// Processor time since the start, user and system, in seconds.
    pub cpu_seconds: f64,
    /// Threads.
    pub threads: u32,
    /// Open file descriptors, sockets included.
    pub open_files: u32,
}

impl ProcessSample {
    /// Reads the process's own figures; zeros where the system has no `/proc`.
    #[must_use]
    pub fn read() -> Self {
        let own = Self::below("/proc/self");
        // Reading the folder itself held one descriptor open.
        Self { open_files: own.open_files.saturating_sub(1), ..own }
    }

    /// Reads another process's figures; zeros where there is none, or it is somebody else's.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        Self::below(&format!("/proc/{pid}"))
    }

    fn below(place: &str) -> Self {
        let stat = fs::read_to_string(format!("{place}/stat")).unwrap_or_default();
        let status = fs::read_to_string(format!("{place}/status")).unwrap_or_default();
        let open = fs::read_dir(format!("{place}/fd")).map_or(0, |entries| entries.count());
        Self { open_files: u32::try_from(open).unwrap_or(u32::MAX), ..Self::parse(&stat, &status) }
    }

    /// Takes the figures out of the texts of `/proc/self/stat` and `/proc/self/status` (proc(5)).
    fn parse(stat: &str, status: &str) -> Self {
        // The second field is the program's name in brackets and may hold anything, so count from the last bracket.
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let field = |n: usize| after_name.split_whitespace().nth(n).and_then(|v| v.parse::<u64>().ok()).unwrap_or(0);
        let resident_kib = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|v| v.split_whitespace().next()?.parse::<u64>().ok())
            .unwrap_or(0);
        Self {
            resident_bytes: resident_kib * 1024,
            cpu_seconds: (field(11) + field(12)) as f64 / TICKS_PER_SECOND,
            threads: u32::try_from(field(17)).unwrap_or(0),
            open_files: 0,
        }
    }
}

/// Memory that this machine can still give, in bytes; `None` where the system does not say.
#[must_use]
pub fn memory_left_bytes() -> Option<u64> {
    let told = fs::read_to_string("/proc/meminfo").ok()?;
    let kib: u64 =
        told.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_found_behind_a_hostile_program_name() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 900 0 0 0 250 50 0 0 20 0 9 0 100 1 2";
        let status = "Name:\tx\nVmRSS:\t    2048 kB\nThreads:\t9\n";
        let sample = ProcessSample::parse(stat, status);
        assert_eq!(
            sample,
            ProcessSample { resident_bytes: 2 * 1024 * 1024, cpu_seconds: 3.0, threads: 9, open_files: 0 }
        );
    }

    #[test]
    fn garbage_is_zero() {
        assert_eq!(ProcessSample::parse("", "VmRSS: much"), ProcessSample::default());
    }

    #[test]
    fn this_process_has_memory_threads_and_files() {
        let sample = ProcessSample::read();
        assert!(sample.resident_bytes > 0 && sample.threads > 0 && sample.open_files > 2, "{sample:?}");
    }
}
