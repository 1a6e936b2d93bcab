"""The commands that ask a model: `train serve` and `train chat`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from runkit import options
from train.cli_options import ModelPath, Template

Dtype = Annotated[Literal["fp32", "bf16", "fp16"], typer.Option("--dtype", help="Numbers that are computed with.")]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="Threads that compute; PyTorch's choice.")]
SeqLen = Annotated[
    int | None, typer.Option("--seq-len", min=2, help="Tokens of prompt and answer together; the model's own.")
]
PlainPrompt = Annotated[str, typer.Option("--plain-prompt", help="How a base model is asked: zh-qa, en-qa or bare.")]


def serve(
    run: ModelPath,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; others than this machine's need a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any that is free; it is printed.")] = 8000,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", metavar="FILE", help="Its first line is asked of everybody.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="What requests call the model; the folder's name.")] = None,
    slots: Annotated[int, typer.Option("--slots", min=1, max=1024, help="Answers that are made at a time.")] = 8,
    max_queue: Annotated[int, typer.Option("--max-queue", min=0, help="Answers that may wait beyond these.")] = 64,
    seq_len: SeqLen = None,
    dtype: Dtype = "fp32",
    threads: Threads = None,
    template: Template = None,
    plain_prompt: PlainPrompt = "zh-qa",
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Serve a model over HTTP as OpenAI does, with a chat page at /; only to this machine unless there is a token.

    Ctrl-C lets what is being answered end within 5 s, once more stops at once. -v prints a line for each request.
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


def chat(
    run: ModelPath,
    ask: Annotated[
        list[str] | None, typer.Option("--ask", metavar="TEXT", help="Ask this and leave; repeatable, one dialogue.")
    ] = None,
    system: Annotated[str, typer.Option("--system", help="What the model is told before everything else.")] = "",
    temperature: Annotated[float, typer.Option("--temperature", min=0, max=2, help="0: the likeliest token.")] = 0.7,
    top_p: Annotated[
        float, typer.Option("--top-p", min=0, max=1, help="Likeliest tokens of so much probability.")
    ] = 0.9,
    top_k: Annotated[int, typer.Option("--top-k", min=0, help="So many likeliest tokens; 0: all.")] = 0,
    repetition_penalty: Annotated[
        float,
        typer.Option("--repetition-penalty", min=0.01, max=10, help="Above 1: what was said gets less likely."),
    ] = 1.0,
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", min=1, help="Of an answer; what there is room for.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Same seed, same answer; another each time.")
    ] = None,
    seq_len: SeqLen = None,
    dtype: Dtype = "fp32",
    threads: Threads = None,
    template: Template = None,
    plain_prompt: PlainPrompt = "zh-qa",
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Talk to a model in the terminal; from a pipe, each line is a question and answers go to stdout.

    Lines that begin with / are commands: /system, /set, /reset, /save, /help, /quit.
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
    app.command()(serve)
    app.command()(chat)
