"""Boilerplate lines go, sentences stay."""

import pytest

from corpus.lines import drop_boilerplate, is_boilerplate

BOILERPLATE = [
    "上一篇：春天的水稻田",
    "下一页",
    "返回首页",
    "责任编辑：陈小禾",
    "（编辑：林木）",
    "版权所有 未经许可不得转载",
    "Copyright © 2011-2024 某某网 All Rights Reserved",
    "沪ICP备12345678号-1",
    "分享到：微信 微博 QQ空间",
    "扫描二维码关注公众号",
    "点击进入专题>>",
    "阅读全文",
    "相关阅读：",
    "我要评论（12）",
    "浏览次数：1024",
    "友情链接：甲网 乙网 丙网",
    "您需要登录后才可以回帖 登录 | 立即注册",
    "Archiver|手机版|小黑屋",
    "关于我们 | 联系我们 | 网站地图",
    "只看该作者",
    "2024-11-06 08:12 作者：佚名 点击：4063 【大 中 小】【打印】",
    "2019年3月2日 来源：某某日报",
    "积分 1024",
    "Share this article",
    "Read more",
    "Leave a comment",
    "All rights reserved.",
    "────────",
    "* * * * *",
]
SENTENCES = [
    "他点击进入系统，看到了一条没有读过的消息。",
    "这本书的版权所有者已经去世五十年，因此作品进入了公有领域，任何人都可以自由使用。",
    "下一页纸上写着他的名字。",
    "分享到最后，大家都没有说话。",
    "编辑部的灯一直亮到天明。",
    "她在首页上登了一则寻人启事，三天以后有了回音。",
    "相关部门表示，将在本月底之前完成检查。",
    "Read more books, he said, and fewer screens.",
    "We share this view with most of our colleagues in the field.",
    "广告业在过去十年里变化很大。",
    "第一章",
    "请登录系统后查看自己的成绩，有疑问可以在三天内提出。",
    "关于我们的童年",
    "楼主说得对",
    "2019年3月2日，来源不明的包裹送到了他的手里。",
    "2024年3月5日",
]


@pytest.mark.parametrize("line", BOILERPLATE)
def test_boilerplate_is_recognised(line: str) -> None:
    assert is_boilerplate(line)


@pytest.mark.parametrize("line", SENTENCES)
def test_sentences_are_kept(line: str) -> None:
    assert not is_boilerplate(line)


def test_what_is_removed_is_counted_and_the_rest_is_untouched() -> None:
    text = "第一段话，讲的是事情的开头。\n\n上一篇：无\n\n第二段话。\n版权所有"
    cleaned, removed = drop_boilerplate(text)
    assert cleaned == "第一段话，讲的是事情的开头。\n\n第二段话。"
    assert removed == len(text) - len(cleaned)
    assert drop_boilerplate(cleaned) == (cleaned, 0)


CODE = "```\n>>> print()\n...\nSave\n---\n| --- |\n***\n提交\n```\n\n~~~py\nprint()\n~~~"
MARKDOWN = "## 提交\n\n| 标签：甲 | 评论 |\n| --- | --- |\n\n***\n\n> 广告\n\n- 登录\n\n* 搜索\n\n1. 评论\n\n---"


@pytest.mark.parametrize("markup", [False, True])
def test_fenced_code_is_not_touched(markup: bool) -> None:
    assert drop_boilerplate(CODE, markup=markup) == (CODE, 0)
    assert drop_boilerplate(f"下一页\n{CODE}\n版权所有", markup=markup)[0] == CODE
    assert drop_boilerplate("```\n甲\nSave", markup=markup)[0] == "```\n甲"  # never closed


def test_structure_of_markdown_stays_where_there_may_be_any() -> None:
    assert drop_boilerplate(MARKDOWN, markup=True) == (MARKDOWN, 0)
    assert drop_boilerplate(f"{MARKDOWN}\n阅读全文\n2024.3.5 来源：某某日报", markup=True)[0] == MARKDOWN
    assert "---" not in drop_boilerplate(MARKDOWN)[0] and "提交" not in drop_boilerplate(MARKDOWN)[0]
    front = "---\ntitle: 甲\ntag:\n- 乙\n---"
    assert drop_boilerplate(f"{front}\n\ntag:", markup=True)[0] == front
