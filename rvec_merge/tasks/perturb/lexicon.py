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
# What stands for a thing or for what was just said, and what goes on from it.
THINGS = _words("it its they them their theirs this that these those such both either neither one")
ORDER = _words("then after afterwards afterward later finally next so therefore thus hence instead")

# Words that tie the answer to an order of sizes or to whole things; new numbers could break it.
FRAGILE = _words(
    "unless until exceed exceeds exceeding over above below maximum minimum limit limited capacity",
    "round rounded rounds nearest remainder discount discounts overtime threshold qualify least",
    "most whichever max min leap",
)

_IMPLIED = """
half halves halved twice double doubles doubled both pair pairs couple couples twin twins: 2
weekend weekends rectangle rectangular return round either between parents parent duo brace: 2
eyes ears hands arms wings earrings shoes socks gloves boots mittens shoe sock glove: 2
bike bikes bicycle bicycles motorcycle motorcycles scooter scooters ducks bipeds: 2
chicken chickens hen hens bird birds people person: 2
triple triples tripled thrice third thirds yard yards trio triplets tricycle tricycles triangle: 3
fourth fourths gallon gallons side sides grandparents season seasons corner corners: 4
car cars wagon wagons legs leg wheels wheel tire tires paws hooves quadruplets quartet: 4
dog dogs cat cats cow cows horse horses goat goats sheep pig pigs chair chairs table tables: 4
nickel nickels fifth fifths weekday weekdays workday workdays finger fingers toe toes hand: 5
sixth insect insects ant ants bee bees dice die cube cubes: 6
octave octopus spider spiders octopuses stop: 8
baseball: 9
decade decades fingers toes: 10
soccer football eleven: 11
deck decks cards: 52
fortnight: 14
century centuries: 100
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
average mean: 2 3 4 5
square perimeter: 2 4
week weeks weekly: 5 7 52
hour hours hourly: 24 60
day days daily: 7 24 30 365
month months monthly: 4 12 30 31
year years yearly: 12 52 365
"""


def _implied() -> dict[str, tuple[int, ...]]:
    table: dict[str, tuple[int, ...]] = {}
    for entry in _IMPLIED.strip().splitlines():
        names, _, values = entry.partition(":")
        for name in names.split():
            table[name] = (*table.get(name, ()), *map(int, values.split()))
    return table


# Amounts that words bring into a computation without a digit.
IMPLIED = _implied()
# Amounts that a solution may take from nowhere: days, months, legs, a dozen, and their like.
COMMON = frozenset(
    {2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 30, 31, 36, 52, 60, 100, 365, 1000}
)
