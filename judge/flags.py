"""What in the answers may have misled a judge: orders to the judge, and one answer to everything.

In: answers. Out: the answers that address the judge or mark themselves with scores, and the systems that gave one text
to many questions. A flag is a reason to look, no proof. Price: 20 µs an answer.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from judge.records import Answer, Question

MOST_LISTED: Final = 100
FEWEST_ALIKE: Final = 3
ALIKE_SHARE: Final = 0.05  # of a system's answers, from which one text for all of them is worth a flag

_INJECTION: Final = re.compile(
    r"(?:ignore|disregard|forget|override)\s+(?:all\s+|any\s+|the\s+|your\s+|these\s+)*(?:previous|prior|above|earlier|"
    r"preceding|other)\b[^.\n]{0,40}?(?:instruction|prompt|rule|direction|text|answer)"
    r"|(?:dear|hey|attention|note (?:to|for)(?: the)?|to the)\s+(?:judge|evaluator|grader|reviewer|rater)\b"
    r"|\b(?:judge|evaluator|grader|reviewer|rater)s?\b[^.\n]{0,40}?\b(?:must|should|please|shall|has to)\b[^.\n]{0,60}?"
    r"(?:score|rate|prefer|choose|select|pick|award|give)"
    r"|\b(?:rate|score|grade|give|award)\b[^.\n]{0,30}?\b(?:this|my|me|assistant|answer|response)\b[^.\n]{0,30}?"
    r"(?:\b10\b|10/10|full marks|highest|maximum|perfect score)"
    r"|\[\[\s*[ABC]\s*\]\]|<<\s*[0-9A-Fa-f]{6,}\s*>>"
    r"|\b(?:assistant|answer|response)\s+[12AB]\s*(?:is|:|wins)\s*(?:the\s+)?(?:better|best|winner|10\b)"
    r"|</?\s*(?:system|instructions?|answer|judge)\s*>|<\|(?:im_start|im_end|system|endoftext)\|>"
    r"|(?:忽略|无视|忘记|忘掉|不要理会)[^。\n]{0,12}?(?:之前|以上|上述|前面|上面|先前|此前)[^。\n]{0,12}?(?:指令|指示|要求|规则|内容|提示|说明)"
    r"|(?:评审|评委|裁判|评判者|评分(?:者|员|模型)|评估(?:者|员))[^。\n]{0,16}?(?:请|必须|应当|应该|务必|给)[^。\n]{0,24}?(?:分|选|判|胜|好)"
    r"|(?:请|必须|务必|应该|直接)[^。\n]{0,12}?(?:给|打|评|判)[^。\n]{0,12}?(?:满分|最高分|10\s*分|十分|高分|胜)"
    r"|(?:本|这个|我的|该)(?:回答|答案)[^。\n]{0,10}?(?:应得|应当得|值得|得)[^。\n]{0,6}?(?:满分|最高分|10\s*分|十分)",
    re.IGNORECASE,
)
_AROUND: Final = 60


def injection_in(text: str) -> str | None:
    """The passage that addresses the judge, with what stands around it; None without one."""
    found = _INJECTION.search(text)
    if found is None:
        return None
    start, end = max(0, found.start() - _AROUND), min(len(text), found.end() + _AROUND)
    return ("…" if start else "") + text[start:end] + ("…" if end < len(text) else "")


def of_answers(answers: Iterable[Answer], questions: Mapping[str, Question]) -> dict[str, Any]:
    """`injections`: answers that address the judge; `constant`: systems that say the same to many questions."""
    injections: list[dict[str, Any]] = []
    texts: dict[str, Counter[str]] = {}
    for answer in answers:
        if answer.text is None:
            continue
        texts.setdefault(answer.system, Counter())[" ".join(answer.text.split())] += 1
        passage = injection_in(answer.text)
        asked = questions.get(answer.question_id)
        if passage is not None and not (asked and asked.text and injection_in(asked.text)):
            injections.append({"system": answer.system, "question_id": answer.question_id, "passage": passage})
    constant = []
    for system, counts in texts.items():
        total = counts.total()
        for text, count in counts.most_common(3):
            if count >= FEWEST_ALIKE and count >= ALIKE_SHARE * total:
                constant.append({"system": system, "answers": count, "of": total, "text": text[:200]})
    return {"injections": injections[:MOST_LISTED], "injections_in_all": len(injections), "constant": constant}
