"""A soft phone with several agents, led by lines on standard input; each line that it writes is one thing that happened. SIP goes to
standard error.

    dial CALL AGENT URI     tone CALL on|off     keys CALL DIGITS     hold CALL     resume CALL
    heard CALL FILE         transfer CALL OTHER  hang_up CALL         quit

Its arguments: a port, the agents' names, and words of the form KEY=VALUE for the codec, the media encryption and a file of authorities.
A call that comes is answered at once and has its agent's name. Built on baresip-python, which is run and never linked.
"""

import array
import asyncio
import logging
import math
import os
import sys
import wave

import baresip
from baresip import Account, Config, Runtime, UserAgent
from baresip.errors import BaresipError
from baresip.events import Event

TONE_HZ, PEAK, AHEAD_MS = 1_000, 8_000, 60


def tell(*words):
    # At once and whole.
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


class Line:
    """One call: what it says and what it heard."""

    def __init__(self, name, call):
        self.name, self.call = name, call
        self.tone, self.phase, self.rate, self.channels, self.heard = False, 0, 8_000, 1, bytearray()
        call.on(self.happened)
        call.on_dtmf(lambda key: tell("key", name, key.digit))
        self.pump = asyncio.create_task(self.talk())

    def happened(self, event):
        if event.event is Event.CALL_CLOSED:
            tell("closed", self.name, event.text or "")
            self.pump.cancel()

    async def talk(self):
        while True:
            await asyncio.sleep(0.02)
            try:
                info = self.call.audio.info()
                if info.rx_ready:
                    self.rate, self.channels = info.rx_sample_rate, info.rx_channels
                    self.heard += self.call.audio.read(65_536)
                if info.tx_ready and self.tone:
                    per_ms = info.tx_sample_rate // 1_000
                    missing = AHEAD_MS * per_ms - info.tx_buffered // (2 * info.tx_channels)
                    self.call.audio.write(self.speech(max(missing, 0), info.tx_sample_rate, info.tx_channels))
            except BaresipError:
                pass  # Between two agreements there is no audio.

    def speech(self, frames, rate, channels):
        step = 2 * math.pi * TONE_HZ / rate
        said = [int(PEAK * math.sin(step * (self.phase + i))) for i in range(frames)]
        self.phase += frames
        return array.array("h", (sample for sample in said for _ in range(channels))).tobytes()

    def write(self, path):
        with wave.open(path, "wb") as out:
            out.setnchannels(self.channels)
            out.setsampwidth(2)
            out.setframerate(self.rate)
            out.writeframes(bytes(self.heard))
        tell("heard", self.name, len(self.heard) * 1_000 // (2 * self.rate * self.channels))
        self.heard.clear()


class Phone:
    def __init__(self, agents):
        self.agents, self.lines = agents, {}
        for name, agent in agents.items():
            agent.on_incoming(lambda call, name=name: asyncio.create_task(self.answer(name, call)))
            agent.on_transfer_call(lambda call, name=name: self.add(name + "-moved", call))

    def add(self, name, call):
        self.lines[name] = Line(name, call)
        return self.lines[name]

    async def answer(self, name, call):
        await call.answer()
        # A call may come in the place of another one.
        name = name if name not in self.lines else name + "-again"
        self.add(name, call)
        tell("came", name)

    async def dial(self, name, agent, uri):
        line = self.add(name, await self.agents[agent].dial(uri))
        await line.call.wait_established()

    async def settled(self, act):
        """Does what the stack refuses as long as the offer before is not answered."""
        for left in reversed(range(100)):
            try:
                return await act()
            except BaresipError:
                if left == 0:
                    raise
                await asyncio.sleep(0.02)

    async def obey(self, word, name, *rest):
        if word == "dial":
            await self.dial(name, *rest)
        elif word == "tone":
            self.lines[name].tone = rest[0] == "on"
        elif word == "heard":
            self.lines[name].write(rest[0])
        elif word == "transfer":
            await self.lines[name].call.attended_transfer(self.lines[rest[0]].call)
        else:
            call = self.lines[name].call
            acts = {"keys": call.send_dtmf, "hold": call.hold, "resume": call.resume, "hang_up": call.hangup}
            await self.settled(lambda: acts[word](*rest))
        tell("done", word, name)


async def main(port, *words):
    names = [word for word in words if "=" not in word]
    wanted = dict(word.split("=", 1) for word in words if "=" in word)
    listen = f"sip_listen 127.0.0.1:{port}\nrtp_ports 10000-19998\nopus_stereo yes\nopus_sprop_stereo yes"
    if "authorities" in wanted:
        listen += f"\nsip_cafile {wanted['authorities']}"
    config = Config(net_interface="127.0.0.1", max_concurrent_calls=None, extra_config_text=listen, sip_trace=True)
    logging.basicConfig(level=logging.INFO)
    logging.getLogger("baresip.native.sip").setLevel(logging.DEBUG)
    runtime = Runtime()
    await runtime.start(config)
    kind = {"audio_codecs": (wanted.get("codec", "pcma"),)}
    if "encryption" in wanted:
        kind["extra_params"] = ("mediaenc=" + wanted["encryption"],)
    agents = {}
    for name in names:
        account = Account(user=name, domain="127.0.0.1", password="", reg_interval=0, **kind)
        agents[name] = await UserAgent.create(runtime, account, transfer_policy="auto")
    phone = Phone(agents)
    tell("ready", baresip.__name__)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while (words := (await reader.readline()).decode().split()) and words[0] != "quit":
        try:
            await phone.obey(*words)
        except Exception as error:  # Whatever it is, the test is to read it.
            tell("failed", *words, repr(error))
    await runtime.close()


asyncio.run(main(*sys.argv[1:]))
