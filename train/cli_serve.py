"""The commands that ask a model: `train serve` and `train chat`."""

from typing import Annotated, Literal

import typer

from runkit import options
from train.cli_options import ModelPath, Template

Dtype = Annotated[Literal["fp32", "bf16", "fp16"], typer.Option("--dtype", help="Number type that is computed with.")]
Threads = Annotated[
    int | None, typer.Option("--threads", metavar="N", min=1, help="Threads.", show_default="PyTorch's choice")
]
SeqLen = Annotated[
    int | None,
    typer.Option(
        "--seq-len", metavar="N", min=2, help="Tokens of prompt and answer together.", show_default="the model's own"
    ),
]
PlainPrompt = Annotated[
    str, typer.Option("--plain-prompt", metavar="zh-qa|en-qa|bare", help="How a base model is asked.")
]


ModelName = Annotated[
    str | None,
    typer.Option("--name", metavar="NAME", help="What requests call the model.", show_default="the folder's"),
]


def serve(
    run: ModelPath,
    host: options.Host = "127.0.0.1",
    port: options.Port = 8000,
    token_file: options.TokenFile = None,
    name: ModelName = None,
    slots: Annotated[
        int, typer.Option("--slots", metavar="N", min=1, max=1024, help="Answers that are made at a time.")
    ] = 8,
    max_queue: Annotated[
        int, typer.Option("--max-queue", metavar="N", min=0, help="Answers that may wait beyond these.")
    ] = 64,
    seq_len: SeqLen = None,
    dtype: Dtype = "fp32",
    threads: Threads = None,
    template: Template = None,
    plain_prompt: PlainPrompt = "zh-qa",
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Serve a model over HTTP, with a chat page.

    It speaks OpenAI's protocol under /v1, the page is at /; only this machine is let in unless there is a token. Ctrl-C
    lets what is being answered end within 5 s, once more stops at once. -v prints a line for each request.
    """
    from train.serve import ModelCall, ServeCall
    from train.serve import serve as carry_out

    model = ModelCall(
        run=run,
        dtype=dtype,
        threads=threads,
        seq_len=seq_len,
        slots=slots,
        name=name,
        template=template,
        plain_prompt=plain_prompt,
    )
    carry_out(
        ServeCall(
            model=model,
            host=host,
            port=port,
            token_file=token_file,
            max_queue=max_queue,
            as_json=as_json,
            quiet=quiet,
            verbose=verbose,
        )
    )


RepetitionPenalty = Annotated[
    float,
    typer.Option(
        "--repetition-penalty", metavar="R", min=0.01, max=10, help="Above 1: what was said gets less likely."
    ),
]
MaxTokens = Annotated[
    int | None,
    typer.Option("--max-tokens", metavar="N", min=1, help="Longest answer.", show_default="what there is room for"),
]
AnswerSeed = Annotated[
    int | None,
    typer.Option("--seed", metavar="N", min=0, help="Same seed, same answer.", show_default="another each time"),
]


def chat(
    run: ModelPath,
    ask: Annotated[
        list[str] | None, typer.Option("--ask", metavar="TEXT", help="Ask this and leave; repeatable, one dialogue.")
    ] = None,
    system: Annotated[
        str, typer.Option("--system", metavar="TEXT", help="What the model is told before everything else.")
    ] = "",
    temperature: Annotated[
        float, typer.Option("--temperature", metavar="T", min=0, max=2, help="0: always the likeliest token.")
    ] = 0.7,
    top_p: Annotated[
        float,
        typer.Option("--top-p", metavar="P", min=0, max=1, help="Only the likeliest tokens of so much probability."),
    ] = 0.9,
    top_k: Annotated[
        int, typer.Option("--top-k", metavar="K", min=0, help="Only so many likeliest tokens; 0: all.")
    ] = 0,
    repetition_penalty: RepetitionPenalty = 1.0,
    max_tokens: MaxTokens = None,
    seed: AnswerSeed = None,
    seq_len: SeqLen = None,
    dtype: Dtype = "fp32",
    threads: Threads = None,
    template: Template = None,
    plain_prompt: PlainPrompt = "zh-qa",
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Talk to a model in the terminal.

    From a pipe each line is a question, and answers go to stdout. Lines that begin with / are commands: /system, /set,
    /reset, /save, /help, /quit.
    """
    from train.chat import ChatCall
    from train.chat import chat as carry_out
    from train.serve import ModelCall

    model = ModelCall(
        run=run, slots=1, dtype=dtype, threads=threads, seq_len=seq_len, template=template, plain_prompt=plain_prompt
    )
    carry_out(
        ChatCall(
            model=model,
            asked=tuple(ask or ()),
            system=system,
            temperature=temperature,
            top_p=top_p,
            top_k=top_k,
            repetition_penalty=repetition_penalty,
            max_tokens=max_tokens,
            seed=seed,
            as_json=as_json,
            quiet=quiet,
        )
    )


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command(epilog=options.examples("train serve runs/chat --port 8000"))(serve)
    app.command(
        epilog=options.examples(
            "train chat runs/chat",
            "train chat runs/chat --ask 春天适合种什么菜？ --temperature 0",
        )
    )(chat)
