"""Make request bodies at random: most of them nearly right, each with an oddity or two.

Everything is written as text, not through a JSON library: duplicates, bad escapes, numbers of any
size and bytes that are no UTF-8 are what this is about.
"""

import random
from collections.abc import Callable

Maker = Callable[["Generator"], bytes]

NATIVE = ("/api/generate", "/api/chat")
ENDPOINTS = (*NATIVE, "/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages")

_NUMBERS = [
    b"0", b"-0", b"1", b"-1", b"5", b"4096", b"2048", b"4096.0", b"4.096e3", b"1.5", b"-0.5",
    b"1e2", b"1E+2", b"1e-2", b"1e-10", b"0.0000000001", b"1e400", b"-1e400", b"1e-400", b"1e308",
    b"1e309", b"3.5e38", b"3.4028235e38", b"1e19", b"-1e30", b"9223372036854775807",
    b"9223372036854775808", b"-9223372036854775808", b"-9223372036854775809", b"255", b"256",
    b"00", b"01", b"1.", b".5", b"+1", b"1e", b"0x10", b"-", b"NaN", b"Infinity", b"1_000",
    b"9" * 310, b"1" + b"0" * 400 + b"e-200", b"0." + b"0" * 400 + b"1e300",
]  # fmt: skip
_STRINGS = [
    b"", b"m", b"user", b"hello world", b" ", b"a, b, c", b"5m", b"0", b"\\n", b"\\u0041",
    b"\\ud83d", b"\\ud83d\\ude00", b"\\ude00\\ud83d", b"\\ud83dx", b"\xff", b"\xe2\x82",
    b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", "é".encode(), b"\\/", b"\\\\", b'\\"', b"\\x", b"\\u12",
    b"\x00", b"\t", b"\n", b"\x7f", b"aGk=", b"high", b"low", b"max", b"\xe2\x80\xa8",
]  # fmt: skip
_DURATIONS = [
    b'"0"', b'"0s"', b'"-0s"', b'"+0s"', b'"0h0m0s"', b'"0.0s"', b'".0s"', b'"0.s"', b'"."',
    b'".s"', b'"5m"', b'"1h30m"', b'"-1m"', b'"300"', b'""', b'"abc"', b'"0.5ns"', b'"0.9ns1ns"',
    '"0µs"'.encode(), '"0μs"'.encode(), b'"0 s"', b'"1e3s"', b'"00000s"', b'"' + b"0" * 50 + b's"',
    b'"9223372036854775807ns"', b'"9223372036854775808ns"', b'"-9223372036854775808ns"',
    b'"2562047h47m16.854775807s"', b'"2562047h47m16.854775808s"', b'"99999999999999999999s"',
    b'"0.' + b"0" * 30 + b'1h"', b'"0.3333333333333333333h"', b'"0\\u0073"', b'"-"', b'"+5m"',
    b'"0s0"', b'"--0s"', b'"\\u00b5s"', b'"1.0000000000000000000000000009ns"',
    b"true", b"false", b"[]", b"{}",
]  # fmt: skip
_BASE64 = [
    b'""', b'"aGk="', b'"aGk"', b'"aGkK"', b'"aG=k"', b'"a==="', b'"aGk=\\n"', b'"aG\\nk="',
    b'"aG\\r\\nkK"', b'"a\\/+/"', b'"a\\u002b\\u002F/"', b'"aGk=aGk="', b'"a-_b"', b'"aG k"',
    b'"aQ=\\n="', b'"aQ=="', b'"aQ==="', b'"="', b'"\xff"', b"[1,2,255]", b"[256]", b"[-1]",
    b'"a\\u0047k="', b'"aGk\\u003d"', b"[1.5]", b'["a"]', b"{}", b"5", b'"aGk=\\t"', b'"====" ',
]  # fmt: skip
_ENDINGS = [b"", b"", b"", b"\n", b"garbage", b"{}", b"\xff", b"]", b"}", b"\x00", b",1"]
_SPACES = [b"", b"", b"", b"", b" ", b"\n", b"\t\r\n ", b"\x0b", b"\xc2\xa0"]
_BEGINNINGS = [b"", b"", b"", b"", b"", b"", b" ", b"\n\t", b"\xef\xbb\xbf", b"[", b"x"]


class Generator:
    """Bodies from one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def case(self) -> tuple[str, bytes]:
        """An endpoint and a body for it."""
        endpoint = self.random.choice((*NATIVE, *ENDPOINTS))
        return endpoint, self._body(endpoint)

    def _body(self, endpoint: str) -> bytes:
        if self.chance(0.02):
            return self.random.choice([b"", b"null", b"5", b"[]", b'"m"', b"{", b"{}", b"[" * 99])
        makers = FIELDS[endpoint]
        names = self.random.choices(list(makers), k=self.random.randrange(1, 7))
        members = [self._member(name, makers[name]) for name in names]
        if self.chance(0.9):
            members.insert(self.random.randrange(len(members) + 1), b'"model":"m"')
        if self.chance(0.2):
            members.append(self._unknown())
        if self.chance(0.3):
            members.append(self.random.choice(members))
        text = b"{" + self._joined(members) + b"}"
        if self.chance(0.03):
            text = self._broken(text)
        begin = self.random.choice(_BEGINNINGS) if self.chance(0.1) else b""
        return begin + text + (self.random.choice(_ENDINGS) if self.chance(0.3) else b"")

    def _member(self, name: str, maker: Maker) -> bytes:
        roll = self.random.random()
        if roll < 0.8:
            value = maker(self)
        elif roll < 0.9 or maker is responses_input:
            value = b"null"
        else:
            value = self.any_value()
        return self.key(name) + b":" + self.space() + value

    def _unknown(self) -> bytes:
        roll = self.random.random()
        if roll < 0.1:
            depth = self.random.choice([50, 9_998, 9_999, 10_000, 12_000])
            opening, closing = self.random.choice([(b"[", b"]"), (b'{"a":', b"}")])
            return b'"x":' + opening * depth + b"1" * (opening != b"[") + closing * depth
        if roll < 0.2:
            return b'"x":' + b"9" * self.random.choice([20, 400, 5000])
        return self.key(self.random.choice(["x", "Model ", "mode", "options.num_ctx"])) + (
            b":" + self.any_value()
        )

    def _broken(self, text: bytes) -> bytes:
        at = self.random.randrange(len(text))
        if self.chance(0.5):
            return text[:at]
        return text[:at] + self.random.choice([b",", b'"', b"\\", b"}", b"]", b"0"]) + text[at:]

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def space(self) -> bytes:
        return self.random.choice(_SPACES) if self.chance(0.05) else b""

    def key(self, name: str) -> bytes:
        """A name as a key: in another case, or with letters that are written otherwise."""
        if self.chance(0.8):
            return b'"%b"' % name.encode()
        text = self.random.choice([name.upper(), name.title(), name.lower()])
        if self.chance(0.3):
            text = text.replace("s", "\u017f").replace("k", "\u212a")
        raw = text.encode()
        if self.chance(0.3) and text:
            letter = self.random.choice(text)
            raw = text.replace(letter, f"\\u{ord(letter):04x}").encode()
        if self.chance(0.05):
            raw += self.random.choice([b"\xff", b"\\ud800", b" "])
        return b'"%b"' % raw

    def any_value(self, depth: int = 0) -> bytes:
        """A value of any kind."""
        kinds: list[Maker] = [number, string, string, constant]
        if depth < 4:
            kinds += [lambda it: it.array(lambda one: one.any_value(depth + 1))]
            kinds += [lambda it: it.object_of(lambda one: one.any_value(depth + 1))]
        return self.random.choice(kinds)(self)

    def array(self, item: Maker, most: int = 4) -> bytes:
        return b"[" + self._joined([item(self) for _ in range(self.random.randrange(most))]) + b"]"

    def object_of(self, value: Maker, *names: str) -> bytes:
        some = names or ("a", "b", "type", "content", "é")
        picked = self.random.choices(some, k=self.random.randrange(4))
        return b"{" + self._joined([self.key(name) + b":" + value(self) for name in picked]) + b"}"

    def struct(self, **makers: Maker) -> bytes:
        names = self.random.choices(list(makers), k=self.random.randrange(len(makers) + 1))
        return b"{" + self._joined([self._member(name, makers[name]) for name in names]) + b"}"

    def _joined(self, parts: list[bytes]) -> bytes:
        comma = b"," + self.space()
        return self.space() + comma.join(parts) + self.space()


def number(it: Generator) -> bytes:
    if it.chance(0.5):
        return b"%d" % it.random.randrange(-10, 10_000)
    return it.random.choice(_NUMBERS)


def whole(it: Generator) -> bytes:
    return b"%d" % it.random.randrange(-1, 10_000) if it.chance(0.9) else number(it)


def string(it: Generator) -> bytes:
    good = _STRINGS[:10]
    return b'"%b"' % it.random.choice(good if it.chance(0.9) else _STRINGS)


def constant(it: Generator) -> bytes:
    good = [b"true", b"false", b"null"]
    return it.random.choice(good if it.chance(0.98) else [b"True", b"nul", b"undefined"])


def boolean(it: Generator) -> bytes:
    return it.random.choice([b"true", b"false"])


def anything(it: Generator) -> bytes:
    return it.any_value()


def duration(it: Generator) -> bytes:
    return number(it) if it.chance(0.3) else it.random.choice(_DURATIONS)


def image(it: Generator) -> bytes:
    return it.random.choice(_BASE64[:4] if it.chance(0.5) else _BASE64)


def strings(it: Generator) -> bytes:
    return it.array(string)


def options(it: Generator) -> bytes:
    """Runner options and others, sometimes of the wrong type."""
    makers: dict[str, Maker] = dict.fromkeys(
        ["num_ctx", "num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "seed"], number
    )
    makers |= {"temperature": number, "use_mmap": boolean, "stop": strings, "NUM_CTX": number}
    makers |= {"other": anything, "draft_num_predict": whole}
    return it.struct(**makers)


def think(it: Generator) -> bytes:
    return it.random.choice([b"true", b"false", b'"high"', b'"lo\\u0077"', b'"x"', b"1"])


def schema(it: Generator, depth: int = 0) -> bytes:
    def inner(one: Generator) -> bytes:
        return schema(one, depth + 1) if depth < 2 else b"{}"

    return it.struct(
        type=lambda one: one.random.choice([b'"string"', b'["a","b"]', b"[]", b"5", b"[1]"]),
        items=anything,
        description=string,
        enum=lambda one: one.array(anything),
        required=strings,
        anyOf=lambda one: one.array(inner, most=2),
        properties=lambda one: one.object_of(inner),
    )


def tool(it: Generator) -> bytes:
    def parameters(one: Generator) -> bytes:
        makers: dict[str, Maker] = {"type": string, "items": anything, "$defs": anything}
        return one.struct(required=strings, properties=properties, **makers)

    def properties(one: Generator) -> bytes:
        return one.object_of(schema)

    return it.struct(
        type=string,
        items=anything,
        function=lambda one: one.struct(name=string, description=string, parameters=parameters),
    )


def tools(it: Generator) -> bytes:
    return it.array(tool, most=3)


def message(it: Generator) -> bytes:
    def call(one: Generator) -> bytes:
        return one.struct(id=string, function=called)

    def called(one: Generator) -> bytes:
        return one.struct(index=whole, name=string, arguments=arguments)

    return it.struct(
        role=string,
        content=string,
        thinking=string,
        images=lambda one: one.array(image),
        tool_calls=lambda one: one.array(call),
        tool_name=string,
    )


def arguments(it: Generator) -> bytes:
    return it.object_of(anything)


def v1_message(it: Generator) -> bytes:
    def call(one: Generator) -> bytes:
        return one.struct(id=string, index=whole, type=string, function=called)

    def called(one: Generator) -> bytes:
        return one.struct(name=string, arguments=string)

    return it.struct(
        role=string, content=anything, name=string, tool_calls=lambda one: one.array(call)
    )


def block(it: Generator) -> bytes:
    return it.struct(
        type=string,
        text=string,
        source=lambda one: one.struct(type=string, media_type=string, data=string),
        id=string,
        input=arguments,
        content=anything,
        is_error=boolean,
    )


def anthropic_message(it: Generator) -> bytes:
    """One whose content comes once: of several only the last is looked at by Ollama."""
    content = string(it) if it.chance(0.5) else it.array(block)
    if it.chance(0.1):
        return it.random.choice([b"null", b"{}", b'{"role":"user"}', b'{"content":null}', b"5"])
    return b'{"role":"user",%b:%b}' % (it.key("content"), content)


def usage(it: Generator) -> bytes:
    return it.struct(include_usage=boolean, other=anything)


def effort(it: Generator) -> bytes:
    return it.struct(effort=string)


def response_format(it: Generator) -> bytes:
    return it.struct(
        type=string, json_schema=lambda one: one.struct(schema=anything, name=anything)
    )


def responses_tool(it: Generator) -> bytes:
    return it.struct(type=string, name=string, strict=boolean, parameters=arguments)


def responses_input(it: Generator) -> bytes:
    """Text, or items that are right: what an item must have is left to the target."""
    items = [b'{"role":"user","content":"hi"}', b'{"type":"message","role":"user","content":[]}']
    return string(it) if it.chance(0.5) else it.array(lambda one: one.random.choice(items))


_COMMON: dict[str, Maker] = {
    "model": string, "stream": boolean, "format": anything, "keep_alive": duration,
    "options": options, "Options": options, "think": think, "truncate": boolean,
    "shift": boolean, "logprobs": boolean, "top_logprobs": whole,
}  # fmt: skip
_V1: dict[str, Maker] = {
    "model": string, "stream": boolean, "temperature": number, "top_p": number,
}  # fmt: skip

FIELDS: dict[str, dict[str, Maker]] = {
    "/api/generate": _COMMON
    | {"prompt": string, "suffix": string, "raw": boolean, "system": string}
    | {"context": lambda it: it.array(whole), "images": lambda it: it.array(image)},
    "/api/chat": _COMMON | {"messages": lambda it: it.array(message), "tools": tools},
    "/v1/chat/completions": _V1
    | {"messages": lambda it: it.array(v1_message), "stream_options": usage, "max_tokens": whole}
    | {"seed": whole, "stop": anything, "response_format": response_format, "tools": tools}
    | {"reasoning": effort, "reasoning_effort": string, "logprobs": boolean},
    "/v1/completions": _V1
    | {"prompt": string, "max_tokens": whole, "stop": anything, "stream_options": usage}
    | {"frequency_penalty": number, "logprobs": whole, "suffix": string},
    "/v1/responses": _V1
    | {"input": responses_input, "include": strings, "instructions": string, "background": boolean}
    | {"max_output_tokens": whole, "reasoning": effort, "conversation": anything}
    | {"tools": lambda it: it.array(responses_tool), "truncation": string},
    "/v1/messages": _V1
    | {"messages": lambda it: it.array(anthropic_message), "system": anything, "max_tokens": whole}
    | {"stop_sequences": strings, "metadata": lambda it: it.struct(user_id=string)}
    | {"tools": lambda it: it.array(lambda one: one.struct(name=string, max_uses=whole))},
}
