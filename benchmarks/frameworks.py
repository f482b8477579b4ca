"""Popular frameworks as innocents use them: preambles in the style of each kind, and users with content of their own.

Every text is our own. A framework puts its preamble into every prompt of every user; users differ in what they ask, and
one in three has a standing paragraph of its own. `{tools}` is a list that each user has chosen, `{input}` what it asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random  # noqa: TID251 - a measurement repeats under its seed

PREAMBLES = (
    # An agent scaffold of the kind thought, action, observation.
    "Work out an answer to the request at the end with whatever helps you. These helpers can be called: "
    "{tools}. Keep strictly to this pattern. Question: the request you were given. Thought: what you should "
    "do next and why. Action: the name of one helper from the list. Action Input: what the helper is to be "
    "given. Observation: what the helper returned. Thought, action, input and observation may come round "
    "again as often as needed. Final Answer: what you tell the person who asked. Start now. Question: {input}",
    # Retrieval wrappers.
    "You will be shown some fragments of documents, each with the name of its source. Base your reply on "
    "these fragments and on nothing else. Where they do not contain the answer, admit that you do not know "
    "and do not make one up. Cite the source of every statement in square brackets. Fragments: {input} Reply "
    "in the language of the question.",
    "Below stand passages that our search found, the most relevant first, and behind them a message from a "
    "customer. Write back to the customer in no more than five sentences, and use only what the passages say. "
    "Never mention that passages exist. {input}",
    # Translation.
    "Act as a professional translator of the highest rank. Render the text between the markers into fluent "
    "English, keep every placeholder, tag and line break exactly where it is, and return the translation "
    "alone with no comment of any kind before or after it. Text begins {input} text ends",
    # Reviewing code.
    "You review pull requests for a team of engineers. Read the unified diff that follows. For every problem "
    "give the file, the line, how severe it is on a scale from nit to blocker, and a suggested change that "
    "can be applied as it stands. Do not comment on formatting, since a linter does that already. If nothing "
    "is wrong say looks good to me. {input}",
    # Structured extraction.
    "Extract the requested fields out of the text and return one JSON object that validates against the "
    "schema given below. Use null where a field is absent, never guess a value, never add keys, and output "
    "nothing outside the braces. Schema and text follow: {input}",
    # Summaries in stages.
    "Here is one chunk of a much longer document. Write a concise summary of this chunk that can later be "
    "merged with the summaries of the other chunks, keep every name, date and figure, and leave out opinions "
    "of your own. Chunk: {input} Concise summary:",
    # Evaluation by a model.
    "You are an impartial judge of answers that assistants gave. Compare both candidates for helpfulness, "
    "accuracy, depth and tone, explain your reasoning briefly before you decide, do not let the order of the "
    "candidates sway you, and end with a verdict in double brackets, A, B or tie. {input}",
    # Questions over tables.
    "Given a question, first write a syntactically correct query for the database whose tables are listed, "
    "then look at the rows that come back and give the answer. Unless the user names a number, limit yourself "
    "to at most ten rows, never select all columns, and never change any data. Tables: {tools}. Question: "
    "{input}",
    # Memory of a chat.
    "The following is a friendly talk between a person and a capable assistant that gives many specific "
    "details from its context. When the assistant does not know something it says so plainly. What is "
    "remembered of the talk so far: {input} Answer the newest message only.",
    # Writing commits.
    "Write a commit message for the staged changes shown below. First line in the imperative mood and below "
    "seventy characters, then a blank line, then why the change was made, wrapped at seventy two columns. "
    "Output the message and nothing else, no quotes, no fences. {input}",
    # Rewriting a question.
    "Given a conversation and a follow up message, rephrase the follow up so that it can be understood by "
    "itself without the conversation, keep its language and its meaning, and do not answer it. {input} "
    "Standalone question:",
)

_TOOLS = (
    "calendar", "calculator", "web search", "weather", "mail", "ticket lookup", "invoice finder", "map", "translator",
    "stock quotes", "unit converter", "image captioner", "shell", "notebook", "crm", "wiki", "orders", "customers",
)  # fmt: skip
POPULARITY = tuple(1 / rank for rank in range(1, len(PREAMBLES) + 1))
"""How often each is chosen, against the first: a few frameworks have most of the users."""


def _words(random: Random, words: Sequence[str], count: int) -> str:
    return " ".join(random.choices(words, k=count))


def user(
    framework: int, random: Random, words: Sequence[str], texts: Sequence[str], prompts: int
) -> list[str]:
    """Return the prompts of an innocent user of a framework."""
    tools = ", ".join(random.sample(_TOOLS, random.randint(2, 6)))
    standing = _words(random, words, random.randint(8, 30)) + ". " if random.random() < 1 / 3 else ""
    return [
        standing + PREAMBLES[framework].format(tools=tools, input=random.choice(texts))
        for _ in range(prompts)
    ]


def operator(framework: int, filled: Sequence[str], random: Random) -> list[str]:
    """Return the prompts of an operator that works on a framework; `filled` is its own template, filled in."""
    tools = ", ".join(random.sample(_TOOLS, 3))
    return [PREAMBLES[framework].format(tools=tools, input=prompt) for prompt in filled]
