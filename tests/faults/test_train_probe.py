import subprocess, time
def test_probe(documents, tokenizer, shards, tmp_path):
    from tests.faults.train_runs import fit, tokens
    t=time.time(); print(fit(documents, tmp_path/"f").err); print("fit", time.time()-t)
    t=time.time(); print(tokens(documents, tokenizer, tmp_path/"t", "--workers","1").err); print("tok1", time.time()-t)
    t=time.time(); print(tokens(documents, tokenizer, tmp_path/"t2", "--workers","2").err); print("tok2", time.time()-t)
    subprocess.run(["ls","-lR",documents]); subprocess.run(f"ls -l {tokenizer} {shards}/*",shell=True)
