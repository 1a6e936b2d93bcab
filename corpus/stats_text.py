"""What the report of `corpus stats` says, in English and Chinese."""

from typing import Final

LABELS: Final[dict[str, dict[str, str]]] = {
    "en": {
        **{"title": "What the set is made of", "contents": "Contents", "foot": "Made by corpus stats."},
        "subtitle": "Input files: {files}, {size}",
        **{"documents": "Documents", "characters": "Characters", "share": "Share", "count": "Times"},
        **{"mean": "Characters per document", "median": "half of them below {value}"},
        **{"copies": "Copies", "copies_note": "documents whose text another has, but for spaces, punctuation, case"},
        **{"near": "Near copies", "near_note": "in a sample of {sample} documents, beyond the exact ones"},
        **{"lines": "Repeated lines", "lines_note": "of at least {chars} characters, anywhere in the set"},
        "lengths": "Lengths",
        "lengths_note": "Documents by their characters; heights go with the square root.",
        **{"percentile": "Part of the documents", "below": "is no longer than"},
        **{"languages": "Languages", "language": "Language", "sources": "Sources", "source": "Source"},
        **{"domains": "Domains", "domain": "Domain", "origins": "Where it comes from"},
        "different_domains": "{count} domains, {without} documents without an address. The counts of domains beyond "
        "the first 2,000 of a shard are left out.",
        **{"years": "Years", "year": "Year", "classes": "Characters by class", "class": "Class"},
        **{
            "class.han": "Han",
            "class.latin": "Latin letters",
            "class.digit": "digits",
            "class.kana": "Kana and Hangul",
        },
        **{"class.punctuation": "punctuation", "class.symbol": "symbols and emoji", "class.space": "white space"},
        **{"class.other": "letters of other scripts", "class.bad": "U+FFFD, private use, controls"},
        "vocabulary": "Vocabulary",
        "vocabulary_note": "How many different ones there are after so many characters were read. A curve that bends "
        "flat says that more text of this kind brings little that is new; one that climbs at the end shows where "
        "another source begins. β is the exponent of Heaps' law: different = K · readᵝ.",
        **{"kind": "Of", "different": "Different", "read": "In all", "beta": "β"},
        **{"kind.characters": "characters", "kind.units": "units: Han characters, runs of letters or digits"},
        **{"kind.pairs": "pairs of neighbouring Han characters", "estimated": "estimated", "axis": "characters read"},
        "duplicates": "What is there more than once",
        "duplicates_note": "Copies: documents beyond the first of each text; the share of characters in brackets is "
        "theirs. Near copies agree in their character 5-grams ({jaccard:g} and more), looked for in a fair sample: "
        "in the whole set there are at least as many. corpus dedup takes them out.",
        "of_characters": "{share} of the characters",
        **{"top_lines": "Lines that come most often", "line": "Line", "none": "None."},
        "lines_about": "{share} of the {lines} lines of at least {chars} characters, and {characters} of their text, "
        "stand there for a second time or more. Listed are those that come several times in one shard.",
        **{"not_read": "Not read", "reason": "Reason", "records": "Records", "file": "File"},
        **{"config": "Settings and inputs", "config_open": "Settings"},
    },
    "zh": {
        **{"title": "数据集概况", "contents": "目录", "foot": "由 corpus stats 生成。"},
        "subtitle": "输入文件：{files} 个，{size}",
        **{"documents": "文档", "characters": "字符", "share": "占比", "count": "次数"},
        **{"mean": "每篇平均字符数", "median": "一半不超过 {value}"},
        **{"copies": "重复文档", "copies_note": "除空白、标点、大小写和繁简外与另一篇相同"},
        **{"near": "近似重复", "near_note": "在 {sample} 篇的抽样中，不含完全相同的"},
        **{"lines": "重复的行", "lines_note": "至少 {chars} 个字符，全集范围内"},
        "lengths": "长度",
        "lengths_note": "按字符数统计的文档数，高度取平方根。",
        **{"percentile": "文档的比例", "below": "长度不超过"},
        **{"languages": "语言", "language": "语言", "sources": "数据源", "source": "数据源"},
        **{"domains": "域名", "domain": "域名", "origins": "来源"},
        "different_domains": "共 {count} 个域名，{without} 篇文档没有网址。每个分片只统计前 2,000 个域名。",
        **{"years": "年份", "year": "年份", "classes": "字符类别", "class": "类别"},
        **{"class.han": "汉字", "class.latin": "拉丁字母", "class.digit": "数字", "class.kana": "假名和谚文"},
        **{"class.punctuation": "标点", "class.symbol": "符号和表情", "class.space": "空白"},
        **{"class.other": "其他文字", "class.bad": "U+FFFD、私用区和控制字符"},
        "vocabulary": "词汇增长",
        "vocabulary_note": "读过若干字符后见到多少种不同的单位。曲线变平，说明同类文本再多也难有新内容；"
        "末尾上扬，说明那里开始了另一个数据源。β 是 Heaps 定律的指数：种数 = K · 读入量ᵝ。",
        **{"kind": "单位", "different": "种数", "read": "总数", "beta": "β"},
        **{"kind.characters": "字符", "kind.units": "词元：每个汉字、每串字母或数字"},
        **{"kind.pairs": "相邻汉字对", "estimated": "估计值", "axis": "读入字符数"},
        "duplicates": "重复内容",
        "duplicates_note": "重复文档：每种文本除第一篇以外的文档；右侧是其字符占比。"
        "近似重复指 5 字片段的一致程度达到 {jaccard:g}，只在抽样中查找，全集里至少有这么多。可用 corpus dedup 去除。",
        "of_characters": "占字符的 {share}",
        **{"top_lines": "出现最多的行", "line": "行", "none": "无。"},
        "lines_about": "在 {lines} 行（至少 {chars} 个字符）中，{share} 的行、{characters} 的字符是第二次或更多次出现。"
        "下表列出在同一分片内多次出现的行。",
        **{"not_read": "未读入", "reason": "原因", "records": "记录", "file": "文件"},
        **{"config": "设置与输入", "config_open": "设置"},
    },
}
