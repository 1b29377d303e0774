//! What one call needs of ears, mind and voice: the providers that its bot names, with its rendered prompts. Never opens a
//! session itself.

use std::sync::{Arc, Mutex, PoisonError};

use crate::bot::{Bot, JudgeChoice, LlmChoice, SttChoice, TtsChoice};
use crate::provider::local::LocalSpeech;
use crate::provider::script::ScriptLlm;
use crate::provider::standin::{self, StandinJudge, StandinLlm, StandinStt, StandinTts};
use crate::provider::{DialogueContext, Llm, ProviderError, Stt, Tts, TurnJudge, Voice};
use crate::template::Values;

/// Providers and prompts of one call.
pub struct Kit {
    /// Recognition.
    pub stt: Arc<dyn Stt>,
    /// The end-of-turn model, where the bot has one.
    pub judge: Option<Arc<dyn TurnJudge>>,
    /// Dialogue.
    pub llm: Arc<dyn Llm>,
    /// Synthesis.
    pub tts: Arc<dyn Tts>,
    /// The bot's voice.
    pub voice: Voice,
    /// What the engine knows before the first word.
    pub dialogue: DialogueContext,
}

/// All providers of the process.
#[derive(Debug)]
pub struct Speech {
    local: Option<Arc<LocalSpeech>>,
    standin: Arc<standin::Config>,
    /// Compiled scripts of the bot versions in use: a handful, the oldest is forgotten.
    scripts: Mutex<Vec<(String, Arc<ScriptLlm>)>>,
}

/// Scripts kept compiled.
const MOST_SCRIPTS: usize = 64;

impl Speech {
    /// Providers with the local set where it is loaded.
    #[must_use]
    pub fn new(local: Option<Arc<LocalSpeech>>, standin: standin::Config) -> Self {
        Self { local, standin: Arc::new(standin), scripts: Mutex::new(Vec::new()) }
    }

    fn need_local(&self) -> Result<&Arc<LocalSpeech>, ProviderError> {
        self.local.as_ref().ok_or_else(|| {
            ProviderError::Unavailable(
                "the local speech set is not loaded; run `voicefleet models fetch` and start again".to_owned(),
            )
        })
    }

    /// The kit of a call with `bot`.
    ///
    /// # Errors
    /// Where the bot names a provider that is not there.
    pub fn kit(&self, bot: &Bot, values: Values) -> Result<Kit, ProviderError> {
        let standin = || Arc::clone(&self.standin);
        let stt: Arc<dyn Stt> = match bot.providers.stt {
            SttChoice::Local => self.need_local()?.stt(),
            SttChoice::Standin => Arc::new(StandinStt::new(standin())),
        };
        let judge: Option<Arc<dyn TurnJudge>> = match bot.providers.judge {
            JudgeChoice::Local => Some(self.need_local()?.judge()),
            JudgeChoice::Standin => Some(Arc::new(StandinJudge::new(standin()))),
            JudgeChoice::None => None,
        };
        let tts: Arc<dyn Tts> = match bot.providers.tts {
            TtsChoice::Local => self.need_local()?.tts(),
            TtsChoice::Standin => Arc::new(StandinTts::new(standin())),
        };
        let llm: Arc<dyn Llm> = match bot.providers.llm {
            LlmChoice::Script => self.script(bot)?,
            LlmChoice::Standin => Arc::new(StandinLlm::new(standin())),
        };
        let system = bot.system_prompt.render(&values).text;
        Ok(Kit {
            stt,
            judge,
            llm,
            tts,
            voice: voice(bot),
            dialogue: DialogueContext { system, values: Arc::new(values) },
        })
    }

    fn script(&self, bot: &Bot) -> Result<Arc<ScriptLlm>, ProviderError> {
        let key = format!("{}@{}", bot.id, bot.version);
        let mut scripts = self.scripts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, script)) = scripts.iter().find(|(k, _)| *k == key) {
            return Ok(Arc::clone(script));
        }
        let Some(script) = &bot.script else {
            return Err(ProviderError::Unavailable(format!(
                "bot {} has llm = \"script\" and no [script]; `voicefleet check` shows where",
                bot.id
            )));
        };
        let opening = (!bot.opening_message.is_blank()).then(|| bot.opening_message.source().to_owned());
        let disclosure = bot.disclosure.as_ref().map(|d| d.source().to_owned());
        let engine = Arc::new(ScriptLlm::new(Arc::new(script.clone()), opening, disclosure));
        if scripts.len() >= MOST_SCRIPTS {
            scripts.remove(0);
        }
        scripts.push((key, Arc::clone(&engine)));
        Ok(engine)
    }
}

/// What a bot's file says of its voice, as synthesis wants it.
#[must_use]
pub fn voice(bot: &Bot) -> Voice {
    Voice {
        name: bot.voice.name.clone(),
        speed: bot.voice.speed,
        language: bot.language.clone(),
        pronounce: bot.voice.pronounce.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        currency: bot.voice.currency.clone(),
    }
}
