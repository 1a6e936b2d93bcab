#!/usr/bin/env bash
# The whole way on two cores without a network: a raw dump becomes a small model that answers, and is judged.
# Stopped or killed, start it again: what is done is looked at in seconds, the rest goes on where it was.
#
#   runs/cpu.sh                        # rules write the instructions, overlap with reference answers judges
#   OPENAI_BASE_URL=… OPENAI_API_KEY=… MODEL=deepseek-chat OUT=runs/out/paid runs/cpu.sh    # a model does both
set -euo pipefail
source "$(dirname "$0")/steps.sh"
cd "$root"

OUT=${OUT:-runs/out/demo}
BUDGET=${BUDGET:-0.5} # USD at most for the instructions, and as much again for the verdicts
[ -z "${OPENAI_BASE_URL:-}" ] || : "${MODEL:?must name a model where OPENAI_BASE_URL is set}"
teacher=${MODEL:-template} judge=${JUDGE:-${MODEL:-overlap}}
# Number type and threads are given, or they would be chosen by what is faster just then, and the result with them. Two
# threads wait for each other at every turn where the machine has other work; one never does.
fixed="-s threads=1 -s dtype=fp32 -s compile=off -s optim.kind=muon -s optim.lr=2e-3 -s optim.warmup=10"

step clean "$BIN/corpus" clean demo=examples/dump --out "$OUT/clean"
step tokenizer "$BIN/train" tokenizer fit "$OUT/clean" --vocab 4600 -s held_out=0.1 --out "$OUT/tokenizer"
step tokens "$BIN/train" tokens "$OUT/clean" --tokenizer "$OUT/tokenizer" --out "$OUT/tokens"
step pretrain "$BIN/train" pretrain "$OUT/tokens" $fixed -s model.vocab=4600 -s model.dim=256 -s model.layers=4 \
  -s model.heads=4 -s model.kv_heads=2 -s model.seq_len=512 -s data.seq_len=256 -s data.held_out=0.1 -s batch_rows=4 \
  -s steps=120 -s eval_every=60 -s checkpoint_every=50 --out "$OUT/base"
step eval kept "$OUT/base-ppl.json" "$BIN/train" eval ppl "$OUT/base" "$OUT/clean" --held-out 0.1 --json
step instructions "$BIN/selfinstruct" generate --seeds examples/seeds.jsonl --model "$teacher" \
  --from-docs "$OUT/clean" --n 300 --budget "$BUDGET" --out "$OUT/instructions"
step sft "$BIN/train" sft --from "$OUT/base" --data examples/seeds.jsonl --data "$OUT/instructions" $fixed \
  -s data.seq_len=512 -s data.held_out=0.1 -s data.weights='{seeds: 1, instructions: 3}' -s batch_rows=2 \
  -s steps=240 -s eval_every=120 -s checkpoint_every=50 -s prompt_tokens=40 --out "$OUT/chat"
step ask "$BIN/python" examples/ask.py "$OUT/chat" "按句末的标点，“今天的天气真好！”是陈述句、疑问句还是感叹句？"
allowed=6 step judge "$BIN/judge" compare base="$OUT/base" chat="$OUT/chat" --limit 12 \
  --questions examples/questions.jsonl --judge "$judge" --budget "$BUDGET" -s answer.max_tokens=40 --out "$OUT/judged"
step index "$BIN/corpus" index "$OUT" --out "$OUT/index.html"
table
echo "All reports: $OUT/index.html. To talk to the model: ${BIN#"$root/"}/train chat $OUT/chat"
