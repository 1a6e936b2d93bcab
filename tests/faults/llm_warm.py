"""What the prepared process of `launch` has done before a command that asks a model is forked: 4 CPU seconds."""

from importlib import import_module

import openai

from selfinstruct.novelty import Novelty
from selfinstruct.verbs import leading

openai.AsyncOpenAI(api_key="none", base_url="http://127.0.0.1:1").chat.completions  # noqa: B018  (imports the rest)
for name in ("selfinstruct.generate", "selfinstruct.cli", "runkit.llm"):
    import_module(name)
leading("写一首诗")
_pool = Novelty()
_pool.add("1", "一次就好的热身")
_pool.nearest("热身一次就好")
