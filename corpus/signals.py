"""The names of all signals and steps: what is measured on every document, what a rule may bound, where a page may go.

Shares are of visible (non-space) characters unless named otherwise. The first 40 are the kernel's columns, in its
order; the others are measured by the steps themselves.
"""

SIGNALS: dict[str, str] = {
    "s_chars": "visible characters",
    "s_lines": "non-empty lines",
    "s_tokens": "tokens: Han characters, and runs of Latin letters or digits",
    "s_mean_line_chars": "mean visible characters of a line",
    "s_han_share": "Han characters",
    "s_latin_share": "Latin letters",
    "s_digit_share": "digits",
    "s_punctuation_share": "punctuation",
    "s_symbol_share": "symbols and emoji",
    "s_kana_share": "Kana and Hangul",
    "s_bad_char_share": "U+FFFD, private use, controls",
    "s_separator_share": "separators as in menus and tag lists (| / 、 , _ · >)",
    "s_han_gap_share": "Han characters set apart from the one before by a space",
    "s_sentence_chars": "visible characters for each sentence end",
    "s_mean_word_chars": "mean letters of a Latin word",
    "s_stop_share": "tokens that are stop characters (的 一 是 …) or English stop words",
    "s_frequent_pair_share": "neighbouring Han characters that form a frequent pair; shuffled or misread text has few",
    "s_rare_han_share": "Han characters outside the 4,000 most frequent",
    "s_distinct_share": "distinct tokens among all tokens",
    "s_entropy": "entropy of the tokens, bits",
    "s_punct_line_share": "lines that end in sentence punctuation",
    "s_short_line_share": "lines under 12 visible characters that do not end in punctuation",
    "s_short_line_char_share": "characters that stand in such short lines",
    "s_bullet_line_share": "lines that begin with a bullet",
    "s_ellipsis_line_share": "lines that end in an ellipsis",
    "s_dup_line_share": "lines that repeat an earlier one",
    "s_dup_line_char_share": "characters in such lines",
    "s_dup_paragraph_share": "paragraphs that repeat an earlier one",
    "s_dup_paragraph_char_share": "characters in such paragraphs",
    "s_top_2gram": "characters in the most frequent token 2-gram",
    "s_top_3gram": "characters in the most frequent token 3-gram",
    "s_top_4gram": "characters in the most frequent token 4-gram",
    "s_dup_5gram": "characters in repeated token 5-grams",
    "s_dup_6gram": "characters in repeated token 6-grams",
    "s_dup_7gram": "characters in repeated token 7-grams",
    "s_dup_8gram": "characters in repeated token 8-grams",
    "s_dup_9gram": "characters in repeated token 9-grams",
    "s_dup_10gram": "characters in repeated token 10-grams",
    "s_spam_per_1000": "distinct terms of the spam list for each 1,000 characters",
    "s_adult_per_1000": "distinct terms of the adult list for each 1,000 characters",
}

# Measured outside the kernel.
STEP_SIGNALS: dict[str, str] = {
    "s_boilerplate_share": "characters that went with boilerplate lines",
    "s_language_score": "certainty of the language",
}
# Of models that somebody fitted: null without one, and in languages that it was not fitted on; a rule passes null.
MODEL_SIGNALS: dict[str, str] = {
    "s_quality": "how much like good texts, 0 to 1, by the classifier of quality.model",
    "s_perplexity": "perplexity of a character under the n-gram model of quality.perplexity",
}
ALL_SIGNALS = {**SIGNALS, **STEP_SIGNALS, **MODEL_SIGNALS}

# The order in which a page's reasons take it out of the funnel, by the part of the reason before its first dot.
FUNNEL = ("decode", "url", "extract", "normalize", "language", "rules", "personal", "dedup")
