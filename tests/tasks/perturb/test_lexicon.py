"""The word lists: what a reader of prose would miss if an entry were spelt otherwise."""

from rvec_merge.tasks.perturb import lexicon


def test_every_entry_is_a_word_in_lower_case_as_texts_are_looked_up() -> None:
    lists = [lexicon.AMOUNTS, lexicon.REFERS_BACK, lexicon.POINTS, lexicon.COMPARES, lexicon.THINGS,
             lexicon.ORDER, lexicon.FRAGILE, lexicon.IMPLIED]  # fmt: skip
    assert [word for one in lists for word in one if not (word.isalpha() and word.islower())] == []
    assert all("{n}" in text and topic == topic.lower() for text, topic in lexicon.DISTRACTORS)


def test_what_words_bring_into_a_computation() -> None:
    assert lexicon.IMPLIED["week"] == {5, 7, 52}
    assert (lexicon.NUMBER_WORDS["nineteen"], lexicon.NUMBER_WORDS["ninety"]) == (19, 90)
    assert lexicon.NUMBER_WORDS.keys() < lexicon.AMOUNTS
