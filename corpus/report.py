def write_report(run, summary, total, config, lang):
    pass
