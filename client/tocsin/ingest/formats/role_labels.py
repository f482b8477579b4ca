"""Prompts that are one text with their roles in it: labels of a role in many styles, and models' chat templates.

1. A label begins a line: `system:`, `**User:**`, `### Human`, `[USER]`, `user>`, `=== Human Message ===`, `Utente:`
   and the like, in many languages. All are written as the first is: with the same mark before the word, and the same
   case. One that could as well begin a list or a sentence (`- System`, `user>`, a word by itself) is a label only
   where one of another role follows.
2. After a system label only the last part can be the user's turn: a system prompt may hold examples of a dialogue, and
   whose words they are cannot be known. Without one, the first and the last user parts count.
3. What stands before the first label of a prompt that ends with a bare assistant label, or that has an instruction and
   a response in Alpaca's form, is the system prompt.
4. Chat templates (ChatML, Llama, Mistral, Gemma, Phi, Granite, Command, Harmony, DeepSeek) mark roles with special
   tokens, and are split there. A text that begins with such a token of another template has no part that is known.
5. `<system>…</system><user>…</user>` is split at its elements.
"""

from __future__ import annotations

import re

SYSTEM_ROLES = frozenset(("system", "developer"))
USER_ROLES = frozenset(("user", "human"))

Part = tuple[str, str]
"""A role and its text; a role that is neither of those above is another's."""

_WORDS = {
    "system": (
        "system", "developer", "sys", "sistema", "système", "systeem", "systém", "rendszer", "sistem", "sustav",
        "järjestelmä", "süsteem", "sistēma", "sistemi", "kerfi", "stelsel", "система", "систем", "сістэма", "жүйе",
        "系统", "系統", "システム", "시스템", "النظام", "نظام", "سیستم", "سسٹم", "מערכת", "σύστημα", "hệ thống",
        "सिस्टम",
        "প্রণালী", "সিস্টেম", "ระบบ", "სისტემა", "համակարգ",
    ),
    "user": (
        "user", "human", "benutzer", "nutzer", "anwender", "mensch", "usuario", "usuaria", "usuário", "usuari",
        "utilizador", "humano", "utilisateur", "humain", "utente", "umano", "gebruiker", "bruker", "bruger",
        "användare", "notandi", "käyttäjä", "kasutaja", "użytkownik", "uživatel", "používateľ", "felhasználó",
        "utilizator", "korisnik", "uporabnik", "vartotojas", "lietotājs", "përdoruesi", "kullanıcı", "istifadəçi",
        "foydalanuvchi", "pengguna", "mtumiaji", "erabiltzailea", "người dùng", "пользователь", "человек",
        "користувач", "потребител", "корисник", "карыстальнік", "пайдаланушы", "用户", "用戶", "使用者", "ユーザー",
        "ユーザ", "利用者", "사용자", "유저", "المستخدم", "مستخدم", "کاربر", "صارف", "משתמש", "χρήστης", "उपयोगकर्ता",
        "ব্যবহারকারী", "ผู้ใช้", "მომხმარებელი", "օգտատեր",
    ),
    "assistant": (
        "assistant", "ai", "model", "bot", "assistent", "asistente", "assistente", "asystent", "asistan", "asistent",
        "asszisztens", "avustaja", "assistentti", "trợ lý", "ассистент", "помощник", "асистент", "помічник", "助手",
        "助理", "アシスタント", "어시스턴트", "المساعد", "مساعد", "دستیار", "עוזר", "βοηθός", "सहायक", "ผู้ช่วย", "tool",
        "function",
    ),
}  # fmt: skip
_ROLE_OF = {word.casefold(): role for role, words in _WORDS.items() for word in words}
_ALPACA = {"instruction": "user", "input": "user", "response": "assistant"}
_EVERY = {word for words in _WORDS.values() for word in words}
_WORD = "|".join(sorted((re.escape(word) for word in _EVERY), key=len, reverse=True))
# "message" and the like, before or behind the word of the role.
_BEFORE = (
    r"(?:(?:message|messaggio|mensaje|mensagem|mesaj|prompt|сообщение|повідомлення)[ ]"
    r"(?:d[eo]l?[ ]|d['’]|di[ ])?)?"
)
_KIND = (
    r"(?:[ _-]?(?:message|prompt|turn|input|instructions?|nachricht|eingabe|meddelande|melding|besked|bericht|viesti|"
    r"消息|訊息|提示词|提示詞|提示|指令|输入|メッセージ|プロンプト|入力|메시지|프롬프트))?"
)
_INFLECTED = {
    "системное сообщение": "system", "системный промпт": "system", "системне повідомлення": "system",
    "системний промпт": "system",
}  # fmt: skip

# The mark before the word, the word, what may follow it, and how the label ends: a colon inside the emphasis or behind
# it; a bracket that the mark opened; `>`, `|` or a tab; or, of a heading, a rule and a word by itself, the end of the
# line.
_LABEL = re.compile(
    # The runs are possessive: a text of nothing but dashes takes no longer than another.
    rf"^[ \t]{{0,16}}+(?P<mark>(?:[^\w\s]|_){{1,80}}+[ \t]?(?:(?:[^\w\s]|_){{1,8}}+[ \t]?)?|(?=\w))"
    rf"(?P<word>(?P<phrase>{'|'.join(_INFLECTED)})|{_BEFORE}(?P<role>{_WORD}){_KIND})(?![^\W_])"
    r"(?:[*_\]\)}>\"'’»】」]{0,3}[ \t\u00a0\u202f]?(?::(?=[\s*_\"'“]|$)|：)[*_]{0,2}"
    r"|(?P<bare>(?<=\w)(?:>(?!\w)|[ ]?\||\t))"
    r"|(?P<closed>[\])}>】」»|]{1,3})(?!['\"])"
    r"|(?P<alone>[ ]?(?:[^\w\s:,;.?!()]|_){0,80}+[ \t]*+$))",
    re.MULTILINE | re.IGNORECASE,
)
_BRACKETS = "[({<【「«|"
_RULE = 3
_LOOKED_AT = 1 << 18
"""Characters in which labels are sought: four times what of a turn is looked at."""
_HEADING = re.compile(r"^\#{2,4}[ ]?(Instruction|Input|Response)s?[ \t]{0,4}:?[ \t]{0,4}$", re.MULTILINE)
_AWAITS = re.compile(r"(?:^|\s)(Assistant|ASSISTANT|AI|assistant)[ ]?:\s*$")
_BEFORE_HUMAN = re.compile(r"^[ \t]*(Human|User|HUMAN|USER|human|user)[ ]?:(?=\s)", re.MULTILINE)
_INLINE = re.compile(r"(?:(?<=\s)|(?<=</s>)|^)(USER|ASSISTANT):(?=\s|$)")

_END = (
    r"(?=<\|(?:im_end|im_start|eot_id|eot|end|end_of_text|start|return|call|start_header_id|header_start|"
    r"start_of_role)\|>|\Z)"
)
_TEMPLATES = (
    ("<|im_start|>", re.compile(rf"<\|im_start\|>(\w+)[^\n<]{{0,64}}\n(.*?){_END}", re.DOTALL)),
    ("<|start_header_id|>", re.compile(rf"<\|start_header_id\|>(\w+)<\|end_header_id\|>(.*?){_END}", re.DOTALL)),
    ("<|header_start|>", re.compile(rf"<\|header_start\|>(\w+)<\|header_end\|>(.*?){_END}", re.DOTALL)),
    ("<|start_of_role|>", re.compile(rf"<\|start_of_role\|>(\w+)[^<]*<\|end_of_role\|>(.*?){_END}", re.DOTALL)),
    (
        "<|message|>",
        re.compile(rf"<\|start\|>(\w+)[^<]*(?:<\|[a-z]+\|>[^<]*){{0,3}}?<\|message\|>(.*?){_END}", re.DOTALL),
    ),
    (
        "<|START_OF_TURN_TOKEN|>",
        re.compile(
            r"<\|START_OF_TURN_TOKEN\|><\|(\w+?)_TOKEN\|>(.*?)(?=<\|END_OF_TURN_TOKEN\|>|<\|START_OF_TURN_TOKEN\|>|\Z)",
            re.DOTALL,
        ),
    ),
    ("<start_of_turn>", re.compile(r"<start_of_turn>(\w+)\n(.*?)(?=<end_of_turn>|<start_of_turn>|\Z)", re.DOTALL)),
    (
        "<|user|>",
        re.compile(
            r"<\|(system|user|assistant|observation)\|>(.*?)"
            r"(?=<\|(?:end|endoftext)\|>|</s>|<\|(?:system|user|assistant|observation)\|>|\Z)",
            re.DOTALL,
        ),
    ),
)  # fmt: skip
_DEEPSEEK = re.compile(r"<[|｜](User|Assistant)[|｜]>(.*?)(?=<[|｜]|\Z)", re.DOTALL)
_FULL_WIDTH = "<｜"
_INSTRUCTION = re.compile(r"\[INST\](.*?)(?=\[/INST\]|\Z)", re.DOTALL)
_LLAMA_SYSTEM = re.compile(r"\s*<<SYS>>(.*?)<</SYS>>(.*)", re.DOTALL)
_MISTRAL_SYSTEM = re.compile(r"\[SYSTEM_PROMPT\](.*?)(?=\[/SYSTEM_PROMPT\]|\[SYSTEM_PROMPT\]|\Z)", re.DOTALL)
_TOKEN_FIRST = re.compile(r"\s*(?:<s>|<bos>|<BOS_TOKEN>|\[BOS\])?\s*<[|｜][^<>\n]{1,40}[|｜]>")
_ELEMENT = re.compile(
    r"\s*<((system|developer|user|human|assistant)(?:[ _-]?(?:message|prompt))?)>", re.IGNORECASE
)


def split_roles(text: str) -> list[Part] | None:
    """Return the parts of a prompt with the role of each; None where the text has no parts."""
    if ("<|" in text or _FULL_WIDTH in text or "<start_of_turn>" in text) and (
        parts := _of_template(text)
    ) is not None:
        return parts
    if "[INST]" in text:
        return _instructions(text)
    start = text.lstrip()
    if start[:1] == "<" and (parts := _elements(start)):
        return parts
    if (label := _LABEL.match(start)) is not None and (parts := _labelled(start, label)) is not None:
        return parts
    if "##" in text and (parts := _of_headings(text)):
        return parts
    if (awaits := _AWAITS.search(text, max(0, len(text) - 64))) is not None:
        return _before_an_answer(text, awaits)
    return None  # fmt: skip


def _role(word: str) -> str:
    return _ROLE_OF.get(word.casefold(), "assistant")


def _of_template(text: str) -> list[Part] | None:
    for token, pattern in _TEMPLATES:
        if token in text and (parts := pattern.findall(text)):
            return [
                ("assistant" if role.lower() == "chatbot" else role.lower(), part.strip())
                for role, part in parts
            ]
    if _FULL_WIDTH in text and (found := list(_DEEPSEEK.finditer(text))):
        before = re.sub(r"<[|｜][^<>\n]{1,40}[|｜]>", "", text[: found[0].start()]).strip()
        turns = [(match[1].lower(), match[2].strip()) for match in found]
        return [("system", before), *turns] if before else turns
    return [] if _TOKEN_FIRST.match(text) else None


def _instructions(text: str) -> list[Part]:
    parts = [("system", system.strip()) for system in _MISTRAL_SYSTEM.findall(text)]
    for part in _INSTRUCTION.findall(text):
        system = _LLAMA_SYSTEM.match(part)
        if system:
            parts.append(("system", system[1].strip()))
        parts.append(("user", (system[2] if system else part).strip()))
    return parts


def _elements(text: str) -> list[Part]:
    parts: list[Part] = []
    at = 0
    while (element := _ELEMENT.match(text, at)) is not None:
        closing = f"</{element[1]}>"
        end = text.find(closing, element.end())
        parts.append((_role(element[2]), text[element.end() : end if end >= 0 else None].strip()))
        if end < 0:
            break
        at = end + len(closing)
    return parts


def _label(match: re.Match[str]) -> tuple[str, tuple[str, int]] | None:
    """The role and the style of a label; None where it is none: what closes was not opened.

    A style is the ASCII mark and brackets before the word, and how the word is written: in lower case, in capitals, or
    else.
    """
    mark, word = match["mark"].strip(), match["word"]
    opened, quoted = mark.endswith(tuple(_BRACKETS)), mark.endswith(('"', "'"))
    if (match["closed"] and not opened) or (match["alone"] is not None and (opened or quoted)):
        return None
    role = _INFLECTED[word.casefold()] if match["phrase"] else _role(match["role"])
    shape = "".join(character for character in mark if character.isascii() or character in _BRACKETS)[:6]
    return role, (shape.replace(" ", ""), 0 if word.islower() else 1 if word.isupper() else 2)


def _is_weak(match: re.Match[str]) -> bool:
    """Whether a label could as well begin a list, a quotation or a sentence: then it takes another role to tell."""
    mark = match["mark"].strip()
    return bool(match["bare"]) or (match["alone"] is not None and mark[:1] != "#" and len(mark) < _RULE)


def _labelled(text: str, first: re.Match[str]) -> list[Part] | None:
    found = _label(first)
    if found is None:
        return None
    style = found[1]
    quote = style[0] if style[0] in ('"', "'") else None
    marks = [
        (label[0], match)
        for match in _LABEL.finditer(text, 0, _LOOKED_AT)
        if (label := _label(match)) is not None and label[1] == style
    ]
    roles = {role for role, _ in marks}
    if roles == {"assistant"} or (_is_weak(first) and len(roles) == 1):
        return None  # `Model: T-34` begins no dialogue
    ends = [match.start() for _, match in marks[1:]] + [len(text)]
    parts = [
        (role, text[match.end() : end].strip().strip(quote))
        for (role, match), end in zip(marks, ends, strict=True)
    ]
    if not parts[-1][1]:
        del parts[-1]  # the label that the answer is to follow
    if len(parts) > 1 and any(role in SYSTEM_ROLES for role, _ in parts):
        system, last = parts[0], parts[-1]
        return [part for part in (system, last) if part[0] in SYSTEM_ROLES or part[0] in USER_ROLES]
    return parts


def _of_headings(text: str) -> list[Part]:
    """Alpaca's form; nothing where the text has not both an instruction and a response."""
    headings = list(_HEADING.finditer(text))
    names = {heading[1] for heading in headings}
    if not names >= {"Instruction", "Response"}:
        return []
    ends = [heading.start() for heading in headings[1:]] + [len(text)]
    said = [
        (_ALPACA[heading[1].lower()], text[heading.end() : end].strip())
        for heading, end in zip(headings, ends, strict=True)
    ]
    before = text[: headings[0].start()].strip()
    last = [part for role, part in said if role == "user" and part]
    return [("system", before)] * bool(before) + [("user", "\n".join(last))] if last else []


def _before_an_answer(text: str, awaits: re.Match[str]) -> list[Part] | None:
    """The parts of a prompt that ends with the label of the answer: rule 3."""
    body = text[: awaits.start()]
    marks = list(_BEFORE_HUMAN.finditer(body)) or [
        mark for mark in _INLINE.finditer(body) if mark[1] == "USER"
    ]
    if not marks:
        return None
    last = body[marks[-1].end() :].strip()
    before = body[: marks[0].start()].strip()
    return [("system", before), ("user", last)] if last else [("system", before)]  # fmt: skip
