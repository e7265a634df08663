"""The word lists that perturbations go by; a change here is a new generator version."""


def _words(*lines: str) -> frozenset[str]:
    return frozenset(" ".join(lines).split())


_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen",
    "fifteen sixteen seventeen eighteen nineteen twenty",
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
NUMBER_WORDS: dict[str, int] = {
    **{word: value for value, word in enumerate(" ".join(_UNITS).split())},
    **{word: 20 + 10 * i for i, word in enumerate(_TENS.split())},
    "hundred": 100,
    "thousand": 1000,
}

# Amounts said in words: a typing error in one could change the answer.
AMOUNTS = frozenset(NUMBER_WORDS) | _words(
    "twice thrice double doubles doubled triple triples tripled quadruple half halves third thirds",
    "quarter quarters fourth fifth sixth seventh eighth ninth tenth dozen dozens percent",
    "percentage million billion first second couple",
)

ABBREVIATIONS = _words("mr mrs ms dr st vs no jr sr prof approx etc e.g i.e a.m p.m u.s")

# A sentence that holds one of these means something only after what came before it.
REFERS_BACK = _words(
    "he she it they him her his hers its them their theirs himself herself itself themselves",
    "this that these those such former latter same both either neither another other others",
    "then next after afterwards afterward later finally before already again also too still",
    "instead however but so therefore thus hence meanwhile now rest remaining remainder left",
    "third fourth half quarter doubles doubled triples tripled halves halved percent yet there",
    "twice thrice",
)
# A question may hold "left", "more" or "now"; these of the words above it may not.
POINTS = _words(
    "he she they him her his hers them their theirs it its this these those such former latter",
    "both other others",
)
COMPARES = _words("more less fewer")
PERSONAL = _words("he she they him her his hers them their theirs it its")

# Capitalised at the start of a sentence, or always, without naming anybody.
NOT_A_NAME = _words(
    "the this that these those there then they their them she her his him its how what when where",
    "which who whose why after before during while since until although though because and but for",
    "from into with without within each every all both some any many much more most one two three",
    "four five six seven eight nine ten twelve twenty half first second next last later today",
    "yesterday tomorrow now once initially originally finally given find calculate determine",
    "compute let suppose assume write return evaluate are was were has had have does did can could",
    "will would should may might not only also instead however therefore thus per about over under",
    "monday tuesday wednesday thursday friday saturday sunday january february march april june",
    "july august september october november december english american christmas question sentence",
    "problem options answer input everyone everybody someone nobody anyone people empty another",
    "other several such our your you out off",
)
# After a verb, never after a noun: "Ivan stacks 13 crates", not "Green plants catch light".
DETERMINERS = _words("a an the his her their some every each all") | frozenset(NUMBER_WORDS)
# What somebody does, to tell "Rosa bakes" from "Marbles cost".
ACTIONS = _words(
    "is was has had went goes does did bought sold gave got made took ate ran told can will buys",
    "sells gives gets makes takes eats says tells wants needs earns pays saves spends bakes owns",
    "collects finds loses keeps puts decides receives begins brings",
)

# Words that tie the answer to an order of sizes or to whole things; new numbers could break it.
FRAGILE = _words(
    "unless until exceed exceeds exceeding over above below maximum minimum limit limited capacity",
    "round rounded rounds nearest remainder discount discounts overtime threshold qualify least",
    "most whichever max min leap",
)

_IMPLIED = """
half halves halved twice double doubles doubled both pair pairs couple twins: 2
weekend rectangle rectangular return: 2
triple triples tripled thrice third thirds yard yards: 3
fourth fourths gallon gallons side sides: 4
nickel nickels fifth fifths weekday weekdays: 5
sixth: 6
eighth: 8
dime dimes tenth: 10
dozen dozens foot inch inches: 12
pound pounds: 16
score: 20
minute minutes second seconds: 60
cents dollar dollars percent meter meters: 100
kilometer kilometers kilogram kilograms: 1000
feet: 3 12
quarter quarters: 4 25
average: 2 3
square perimeter: 2 4
week weeks weekly: 7 52
hour hours hourly: 24 60
day days daily: 7 24 30 365
month months monthly: 4 12 30
year years yearly: 12 52 365
"""


def _implied() -> dict[str, tuple[int, ...]]:
    table: dict[str, tuple[int, ...]] = {}
    for entry in _IMPLIED.strip().splitlines():
        names, _, values = entry.partition(":")
        table |= dict.fromkeys(names.split(), tuple(int(value) for value in values.split()))
    return table


# Amounts that words bring into a computation without a digit.
IMPLIED = _implied()
