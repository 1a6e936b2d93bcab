#!/usr/bin/env bash
# From your own dump to a model of 110 to 350 million parameters that answers, on one GPU or several of a machine.
# Stopped or killed, start it again with the same words: it goes on where it was.
#
#   runs/gpu.sh crawl/*.warc.gz blog=posts.jsonl.zst
#   SIZE=350m GPUS=8 MCQ=c-eval MODEL=deepseek-chat BUDGET=20 runs/gpu.sh crawl/
#
# To try the way on a CPU first:
#   SIZE=5m VOCAB=2000 STEPS=60 HELD_OUT=0.1 LEAST=0 ITEMS=300 PRETRAIN="-s data.seq_len=256 -s batch_rows=4" \
#     SFT="-s steps=20 -s batch_rows=4" runs/gpu.sh demo=examples/dump
set -euo pipefail
source "$(dirname "$0")/steps.sh"

SIZE=${SIZE:-110m}          # the shape: configs/model-$SIZE.yaml
OUT=${OUT:-runs/out/$SIZE}
CLEAN=${CLEAN:-}            # more for `corpus clean`, as "--config configs/clean-zh.yaml --workers 16"
VOCAB=${VOCAB:-32000}       # pieces of the tokenizer
HELD_OUT=${HELD_OUT:-0.01}  # share of documents that is never learnt from
GPUS=${GPUS:-1}             # more than one: torchrun, and every step is shared out
STEPS=${STEPS:-}            # of pretraining; unset: as many as go once through the data
PRETRAIN=${PRETRAIN:-}      # more settings for it, as "-s micro_rows=8 -s data.weights.blog=0.3"
LEAST=${LEAST:-10}          # tokens a parameter; with fewer it stops before training (20 are usual); 0: never
MODEL=${MODEL:-template}    # writes the instructions: name@url, a name in models.yaml or at OPENAI_BASE_URL
ITEMS=${ITEMS:-10000}       # instructions to make
SEEDS=${SEEDS:-$root/examples/seeds.jsonl}
DATA=${DATA:-}              # more instruction data to learn from, as "alpaca.json belle.jsonl.zst"
SFT=${SFT:-}                # more settings for it, as "-s data.epochs=2"
MCQ=${MCQ:-}                # a folder in C-Eval's layout: asked before and after tuning
QUESTIONS=${QUESTIONS:-$root/examples/questions.jsonl}
JUDGE=${JUDGE:-overlap}     # judges base against tuned; a model as in MODEL, or overlap
BUDGET=${BUDGET:-5}         # USD at most for MODEL, and as much again for JUDGE

[ $# -gt 0 ] || { echo "Give the files, folders or URLs of your dump: runs/gpu.sh NAME=PATH…" >&2; exit 2; }
trained="--config $root/configs/model-$SIZE.yaml -s model.vocab=$VOCAB -s data.held_out=$HELD_OUT $PRETRAIN"
[ -z "$STEPS" ] || trained="$trained -s steps=$STEPS"
train=("$BIN/train")
[ "$GPUS" = 1 ] || train=("$BIN/torchrun" --nproc-per-node "$GPUS" -m train)
mcq() { [ -z "$MCQ" ] || step "mcq $1" "$BIN/train" eval mcq "$OUT/$1" "$MCQ" --out "$OUT/mcq-$1"; }

step clean "$BIN/corpus" clean "$@" $CLEAN --out "$OUT/clean"
step tokenizer "$BIN/train" tokenizer fit "$OUT/clean" --vocab "$VOCAB" -s held_out="$HELD_OUT" --out "$OUT/tokenizer"
step tokens "$BIN/train" tokens "$OUT/clean" --tokenizer "$OUT/tokenizer" --out "$OUT/tokens"
if [ ! -d "$OUT/base" ]; then
  rm -f "$OUT/plan.json"
  step plan kept "$OUT/plan.json" "$BIN/train" plan "$OUT/tokens" $trained --gpus "$GPUS" --json
  step enough "$BIN/python" "$root/runs/enough.py" "$OUT/plan.json" --least "$LEAST"
fi
step pretrain "${train[@]}" pretrain "$OUT/tokens" $trained --out "$OUT/base"
step eval kept "$OUT/base-ppl.json" "$BIN/train" eval ppl "$OUT/base" "$OUT/clean" --held-out "$HELD_OUT" --json
mcq base
step instructions "$BIN/selfinstruct" generate --seeds "$SEEDS" --model "$MODEL" --from-docs "$OUT/clean" \
  --n "$ITEMS" --budget "$BUDGET" --out "$OUT/instructions"
step sft "${train[@]}" sft "$SEEDS" "$OUT/instructions" $DATA --from "$OUT/base" $SFT --out "$OUT/chat"
mcq chat
step ask "$BIN/python" "$root/examples/ask.py" "$OUT/chat" "春天适合种什么菜？" "给一家面馆起三个名字。"
allowed=6 step judge "$BIN/judge" compare base="$OUT/base" chat="$OUT/chat" --questions "$QUESTIONS" \
  --judge "$JUDGE" --budget "$BUDGET" --out "$OUT/judged"
step index "$BIN/corpus" index "$OUT" --out "$OUT/index.html"
table
echo "All reports: $OUT/index.html. To talk to the model: $BIN/train serve $OUT/chat"
