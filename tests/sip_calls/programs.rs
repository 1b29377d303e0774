//! Where the programs are that these tests run. One that is missing fails its test by name; none is skipped.

use std::path::PathBuf;

/// Where a program is that the tests run, by name; daemons are not in every user's path.
pub fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = folders.find_map(|folder| Some(folder.join(name)).filter(|path| path.is_file()));
    found.unwrap_or_else(|| panic!("the program {name} is missing: run `make test-deps`"))
}
