"""The help desk of Freewheel, a small bike shop that does not exist. Works offline, standard library only.

Run `workbench sample_agents/bot.py` and say, one after the other:

    My name is Ada. Where is order 1042?      and when does it arrive?      what does it cost?
    how mcuh are 2 tubes and a chian?         and 12 of them?               are you open on sunday?
    how do I fix a flat?  (a streamed reply)  who am I?                     bye  (ends the job)

Then change the text of GREETING, save, and watch the bot come back with the new one.
Each job is one conversation with a `Memory` of its own; `reply(memory, text)` is all of its wits.
"""

import asyncio
import difflib
import logging
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from workbench import JobContext, Options, RoomOptions, WorkerJob

log = logging.getLogger(__name__)

GREETING = "Hello, this is Freewheel. Ask me about an order, a price or our opening hours; or say help."
HELP = (
    "I look up orders (try 1042, 1043 or 1044), add up prices (how much are 2 tubes?), know when we are open "
    "and how to fix a flat. You may ask on: 'and when does it arrive?', 'and 12 of them?'"
)
FLAT = (
    "Five steps. 1. Take the wheel out and lift one side of the tyre over the rim. 2. Pull the tube out, "
    "pump it up and listen for the hole. 3. Roughen the spot, spread the glue, wait, press the patch on. "
    "4. Feel for the thorn inside the tyre; it may still be there. 5. Put it all back and ride on."
)
PRICES = {"tube": 6.50, "tyre": 29.00, "chain": 24.90, "bell": 8.00, "lock": 45.00}
DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
HOURS = dict.fromkeys(DAYS[1:5], (9, 18)) | {"saturday": (10, 14)}  # from and to, on the days we are open
ORDERS = {  # number: goods, state, days from today until it arrives (so that the sample never grows old)
    "1042": ({"tube": 2, "chain": 1}, "on its way", 1),
    "1043": ({"tyre": 2}, "being packed", 4),
    "1044": ({"lock": 1, "bell": 1}, "delivered", -2),
}


@dataclass
class Memory:
    """What the bot knows of one conversation."""

    name: str = ""
    order: str = ""  # the last one asked about
    basket: dict[str, int] = field(default_factory=dict)  # the last goods asked about
    intent: str = ""
    turns: int = 0


Tool = Callable[[Memory, list[str], datetime], str]

# --- The tools: each takes the memory, the words that were understood, and the time. ---


def look_up_order(memory: Memory, words: list[str], now: datetime) -> str:
    number = next(filter(is_order_number, words), memory.order)
    if not number:
        return "Which order? It is the number of four digits on your receipt."
    if number not in ORDERS:
        return f"I find no order {number}. Could you look at your receipt again?"
    memory.order = number
    basket, state, days = ORDERS[number]
    arrives = "it arrived on" if days < 0 else "it should arrive on"
    return f"Order {number} ({listed(basket)}) is {state}; {arrives} {now + timedelta(days):%A, %d %B}."


def add_up_prices(memory: Memory, words: list[str], now: datetime) -> str:
    basket: dict[str, int] = {}
    count = None
    for word in words:
        if word in PRICES:
            basket[word] = 1 if count is None else count
            count = None
        elif word.isdigit():
            count = min(int(word), 999)
    if not basket and memory.intent == "order" and memory.order:  # "what does it cost?"
        basket = ORDERS[memory.order][0]
    elif not basket:  # "and 12 of them?"
        basket = {goods: before if count is None else count for goods, before in memory.basket.items()}
    if not basket:
        return "We have " + ", ".join(f"{goods} €{price:.2f}" for goods, price in PRICES.items()) + "."
    memory.basket = basket
    return f"{listed(basket)}: €{sum(PRICES[goods] * n for goods, n in basket.items()):.2f}."


def opening_hours(memory: Memory, words: list[str], now: datetime) -> str:
    today, tomorrow = DAYS[now.weekday()], DAYS[(now.weekday() + 1) % 7]
    day = tomorrow if "tomorrow" in words else next((word for word in words if word in DAYS), today)
    if day not in HOURS:
        return f"We are closed on {day.title()}s. We are open from Tuesday to Saturday."
    opens, closes = HOURS[day]
    if day != today:
        return f"On {day.title()} we are open from {opens}:00 to {closes}:00."
    if now.hour >= closes:
        return f"We closed at {closes}:00 today."
    return f"We are open now, until {closes}:00." if now.hour >= opens else f"We open at {opens}:00 today."


def listed(basket: dict[str, int]) -> str:
    return " and ".join(f"{n} {goods}{'' if n == 1 else 's'}" for goods, n in basket.items())


# --- Understanding. An intent has its keywords and its answer: a tool, or a text. ---

INTENTS: dict[str, tuple[set[str], str | Tool]] = {  # of two that fit equally well, the upper one wins
    "order": ({"order", "parcel", "package", "delivery", "arrive", "track"}, look_up_order),
    "flat": ({"flat", "puncture", "patch", "repair", "fix"}, FLAT),
    "price": ({"price", "cost", "much", "total", *PRICES}, add_up_prices),
    "hours": ({"open", "opening", "close", "hours", "today", "tomorrow", *DAYS}, opening_hours),
    "name": ({"who", "name"}, "I know you as {name}."),
    "bye": ({"bye", "goodbye", "quit"}, "Goodbye, {name}, and a tailwind to you!"),
    "thanks": ({"thanks", "thank"}, "You are welcome, {name}."),
    "help": ({"help", "menu"}, HELP),
    "hello": ({"hello", "morning", "evening"}, "Hello, {name}! What can I do for you?"),
}
ALIASES = {"tire": "tyre", "hi": "hello", "hey": "hello", "one": "1", "two": "2", "dozen": "12"}
VOCABULARY = sorted(set(ALIASES).union(*(keywords for keywords, _ in INTENTS.values())))
INTRODUCTION = re.compile(r"\b(?:(?i:my name is) ([^\W\d_]{1,30})|I(?:['’]m| am) ([A-Z][a-z]{1,29}))\b")


def understand(text: str) -> list[str]:
    """The words of a text; those that are nearly a word the bot knows become that word."""
    return [nearest(word) for word in re.findall(r"[0-9]+|[^\W\d_]+", text.lower())]


def nearest(word: str) -> str:
    if word not in VOCABULARY and len(word) >= 4:
        alike = [known for known in VOCABULARY if known[0] == word[0]]
        swapped = [known for known in alike if sorted(known) == sorted(word)]  # "mcuh"
        word = (swapped or difflib.get_close_matches(word, alike, n=1, cutoff=0.8) or [word])[0]
    return ALIASES.get(word, word)


def is_order_number(word: str) -> bool:
    return word.isdigit() and len(word) == 4


def find_intent(memory: Memory, words: list[str]) -> str:
    if any(map(is_order_number, words)):
        return "order"
    hits = {intent: len(keywords.intersection(words)) for intent, (keywords, _) in INTENTS.items()}
    best = max(hits, key=lambda intent: hits[intent])
    asks_on = not {"it", "them", "and"}.isdisjoint(words)
    if hits[best]:
        return best
    return memory.intent if memory.intent and asks_on else "unknown"


def reply(memory: Memory, text: str, now: datetime | None = None) -> str:
    """The answer to `text`; what was learned is in `memory` afterwards."""
    text, greeting = text[:500], ""
    if introduced := INTRODUCTION.search(text):
        memory.name = (introduced[1] or introduced[2]).title()
        greeting = f"Nice to meet you, {memory.name}. "
        text = text.replace(introduced[0], "", 1)
    words = understand(text)
    intent = find_intent(memory, words)
    if intent in INTENTS:
        answer = INTENTS[intent][1]
    else:
        answer = "" if greeting else "Sorry, {name}, I did not understand that. Say help to see what I can do."
    if not isinstance(answer, str):
        answer = answer(memory, words, now or datetime.now())
    memory.intent = intent
    memory.turns += 1
    return (greeting + answer.replace("{name}", memory.name or "stranger")).strip()


# --- The agent. ---


async def spoken(text: str) -> AsyncIterator[str]:
    """A text word by word, as a language model would write it."""
    for word in re.findall(r"\S+\s*", text):
        yield word
        await asyncio.sleep(0.04)


async def entrypoint(ctx: JobContext) -> None:
    await ctx.connect()
    memory = Memory()
    await ctx.room.send(GREETING)
    async for message in ctx.room:  # ends when the room ends
        answer = reply(memory, message.text)
        log.info("turn %d: %s", memory.turns, memory.intent)
        ctx.report(turns=memory.turns, intent=memory.intent)
        await ctx.room.send(spoken(answer) if len(answer) > 150 else answer)
        if memory.intent == "bye":
            await ctx.shutdown("the customer said goodbye")


def make_context() -> JobContext:
    return JobContext(room_options=RoomOptions(name="Freewheel"))


if __name__ == "__main__":
    options = Options(agent_id="Freewheel", max_processes=5)
    WorkerJob(entrypoint=entrypoint, jobctx=make_context, options=options).start()
