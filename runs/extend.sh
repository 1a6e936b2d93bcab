#!/usr/bin/env bash
# An English model learns Chinese: new pieces for its tokenizer, then continued pretraining, first of their rows alone,
# then adapters or all weights, then tuning; questions of C-Eval's kind before and after, and a table at the end.
# Stopped or killed, start it again with the same words: it goes on where it was.
#
#   MCQ=c-eval runs/extend.sh llama/ crawl/*.warc.gz books=books.parquet
#   MCQ=c-eval LORA=0 MODEL=deepseek-chat BUDGET=20 runs/extend.sh model.gguf crawl/
set -euo pipefail
source "$(dirname "$0")/steps.sh"

OUT=${OUT:-runs/out/extended}
MCQ=${MCQ:-}                # a folder in C-Eval's layout
SHOTS=${SHOTS:-5}           # worked examples before each question
CLEAN=${CLEAN:-}            # more for `corpus clean`, as "-s languages=[zh] --workers 16"
ADD=${ADD:-20000}           # pieces to add
HELD_OUT=${HELD_OUT:-0.01}  # share of documents that is never learnt from
SEQ_LEN=${SEQ_LEN:-2048}    # positions in a row, no more than the model is made for
ROWS=${ROWS:-"-s steps=500 -s optim.lr=1e-3"} # settings of the first stage: the rows of the new pieces
MORE=${MORE:-}              # settings of the second; unset, it goes once through the data
LORA=${LORA:-16}            # rank of the adapters in the second stage and in tuning; 0: all weights
MODEL=${MODEL:-template}    # writes the instructions: name@url, a name in models.yaml or at OPENAI_BASE_URL
ITEMS=${ITEMS:-10000}       # instructions to make
SEEDS=${SEEDS:-$root/examples/seeds.jsonl}
DATA=${DATA:-}              # more instruction data to learn from, as "alpaca.json belle.jsonl.zst"
SFT=${SFT:-}                # more settings of tuning, as "-s data.epochs=2"
QUESTIONS=${QUESTIONS:-$root/examples/questions.jsonl}
JUDGE=${JUDGE:-overlap}     # judges the model as it came against the tuned one; a model as in MODEL, or overlap
BUDGET=${BUDGET:-5}         # USD at most for MODEL, and as much again for JUDGE

[ $# -gt 1 ] || { echo "Give a model and your dump: runs/extend.sh FOLDER|FILE.gguf NAME=PATH…" >&2; exit 2; }
base=$1
shift
if [ "$LORA" = 0 ]; then adapters="-s optim.lr=5e-5" tuned=; else
  adapters="-s optim.lr=2e-4 -s lora.rank=$LORA -s lora.embeddings=true" tuned="--lora $LORA"
fi
data="-s data.seq_len=$SEQ_LEN -s data.held_out=$HELD_OUT"
measure() { # the model in OUT/$1
  step "ppl $1" kept "$OUT/ppl-$1.json" "$BIN/train" eval ppl "$OUT/$1" "$OUT/clean" --held-out "$HELD_OUT" \
    --seq-len "$SEQ_LEN" --json
  [ -z "$MCQ" ] || step "mcq $1" "$BIN/train" eval mcq "$OUT/$1" "$MCQ" --shots "$SHOTS" --out "$OUT/mcq-$1"
}

[ -d "$OUT/model" ] || step import "$BIN/train" import "$base" --out "$OUT/model"
step clean "$BIN/corpus" clean "$@" $CLEAN --out "$OUT/clean"
measure model
step extend "$BIN/train" tokenizer extend "$OUT/model" --with "$OUT/clean" --add "$ADD" -s held_out="$HELD_OUT" \
  --out "$OUT/tokenizer"
step tokens "$BIN/train" tokens "$OUT/clean" --tokenizer "$OUT/tokenizer" --out "$OUT/tokens"
step rows "$BIN/train" pretrain "$OUT/tokens" --from "$OUT/model" --train-only embeddings $data $ROWS --out "$OUT/rows"
step pretrain "$BIN/train" pretrain "$OUT/tokens" --from "$OUT/rows" $adapters $data $MORE --out "$OUT/chinese"
measure chinese
step instructions "$BIN/selfinstruct" generate --seeds "$SEEDS" --model "$MODEL" --from-docs "$OUT/clean" \
  --n "$ITEMS" --budget "$BUDGET" --out "$OUT/instructions"
step sft "$BIN/train" sft "$SEEDS" "$OUT/instructions" $DATA --from "$OUT/chinese" $tuned \
  -s data.seq_len="$SEQ_LEN" $SFT --out "$OUT/chat"
measure chat
step ask "$BIN/python" "$root/examples/ask.py" "$OUT/chat" "春天适合种什么菜？" "给一家面馆起三个名字。"
allowed=6 step judge "$BIN/judge" compare before="$OUT/model" after="$OUT/chat" --questions "$QUESTIONS" \
  --judge "$JUDGE" --budget "$BUDGET" --out "$OUT/judged"
step index "$BIN/corpus" index "$OUT" --out "$OUT/index.html"
table
"$BIN/python" "$root/runs/before_after.py" "$OUT"
echo "All reports: $OUT/index.html. To talk to the model: $BIN/train serve $OUT/chat"
