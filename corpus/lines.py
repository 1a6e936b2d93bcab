"""Boilerplate lines out of otherwise good text, line by line, as RefinedWeb corrects documents.

In: normalised text. Out: the text without lines that only navigate, share, count or claim copyright, and how many
characters went. Only whole lines are matched and only short ones, so a sentence that mentions 版权所有 stays; in
exchange a long paragraph that ends in such words keeps them. One compiled alternation: about 30 µs a document.
"""

import re

# Each group is what a line consists of from its first to its last character, leaving spaces and rules aside.
_NAVIGATION = r"(?:上一[篇页頁章]|下一[篇页頁章]|前一[篇页]|后一[篇页]|返回(?:首页|列表|顶部|上一页)|回到顶部|回首頁|首页|首頁|末页|尾页)"
_MORE = (
    r"(?:点击(?:进入|查看|阅读|这里|加载|展开)[^。！？]{0,16}|(?:阅读|查看|展开|加载|了解|閱讀|觀看|看)(?:全文|更多|原文|详情|剩余)[^。！？]{0,10}"
    r"|更多(?:内容|精彩|新闻|文章|>>|»)?[^。！？]{0,10}(?=$|[>»])|全文(?:完|阅读)?|[（(]?(?:完|未完待续|待续)[）)]?)"
)
_SHARE = (
    r"(?:(?:分享|转发|推荐|收藏|打印|举报|点赞|列印|轉寄|字体|字號|字号)(?:到|至|给|本文|此文|文章|网友|好友|大|中|小|：|:|\s)*"
    r"(?:微信|微博|QQ|空间|朋友圈|新浪|腾讯|豆瓣|人人|网|Facebook|Twitter|Line|LINE|邮件|大|中|小|好友|打印|收藏|关闭|\s|[、,，|/·])*)"
)
_SCAN = r"(?:(?:微信)?扫一?扫|扫描|长按|识别)[^。！？]{0,12}(?:二维码|关注|下载|阅读|打开)[^。！？]{0,16}"
_RIGHTS = (
    r"(?:版权(?:所有|声明|归)[^。]{0,40}。?|[^。！？]{0,24}版权所有[^。]{0,30}|未经[^。]{0,12}(?:授权|许可|同意|书面)[^。]{0,40}(?:转载|使用|複製|複制|复制|镜像)[^。]{0,16}。?"
    r"|(?:copyright|©|\(c\))[^。]{0,100}|all rights reserved\.?[^。]{0,30}|[京沪粤浙苏川鄂闽鲁豫津渝湘皖赣][A-Z]?\s?ICP[备证][^。]{0,40}"
    r"|[^。！？]{0,20}ICP[备证]\s?\d{5,}[^。]{0,40}|[^。！？]{0,8}公网安备[^。]{0,30}|转载(?:请|須|需)[^。]{0,30}(?:出处|来源|來源|注明|链接)[^。]{0,20}。?)"
)
_STAFF = (
    r"[（(【\[]?\s*(?:责任编辑|责编|本文编辑|责任校对|實習編輯|编辑|編輯|审核|校对|校對|监制|排版)\s*[：:][^。！？]{0,20}[）)】\]]?"
)
_FORMS = (
    r"(?:(?:我要|发表|查看|最新|热门|網友|网友|全部|文章|所有|相关)?(?:评论|留言|回复|跟帖|評論|回應)(?:\s*[（(]?\d*[）)]?|列表|区)?|登录|注册|登录\s*[|/]?\s*注册|登入|註冊|"
    r"用户名[：:]?|密码[：:]?|验证码[：:]?|提交|发送|搜索|关闭|广告|廣告|推广|赞助商?链接|加载中[.…]*|正在加载[^。]{0,8})"
)
_SITE_LINK = (
    r"(?:Archiver|手机版|小黑屋|触屏版|电脑版|网站地图|站点地图|联系我们|关于我们|關於我們|聯絡我們|免责声明|隐私(?:政策|声明)"
    r"|用户协议|服务条款|投诉建议|广告服务|诚聘英才|人才招聘|帮助中心|加入收藏|设为首页)"
)
_SITE = rf"(?:(?:{_SITE_LINK}\s*[|｜/·•,，\-]\s*)+[^。！？]{{0,80}}|(?:{_SITE_LINK}\s*)+)"
_THREAD = (
    r"(?:(?:您|你)?(?:需要|必须|请)(?:先)?登[录錄](?:后|後)?[^。！？]{0,20}|只看(?:该作者|楼主|大图)|发消息|加好友|使用道具|倒序浏览|正序浏览"
    r"|电梯直达|本版积分规则|(?:回复|举报|引用)(?:\s+(?:回复|举报|引用|支持|反对|使用道具))+"
    r"|(?:\d+\s*[#楼]\s*)?(?:发表于|發表於)\s*\d{4}[^。！？]{0,40}"
    r"|(?:(?:积分|精华|帖子|主题|威望|金钱|在线时间|注册时间|最后登录)\s*[：:]?\s*[\d\-/: ]+(?:小时|点|个)?\s*)+)"
)
_RELATED = (
    r"(?:(?:相关|相關|推荐|推薦|热门|熱門|猜你喜欢|精彩|延伸|您可能|你可能|大家都在|最新|延伸|今日)(?:的|也|还)?(?:阅读|閱讀|文章|新闻|新聞|推荐|链接|报道|報導|标签|喜欢|感兴趣的?|喜歡|内容|专题|搜索|图片|视频)+[：:]?"
    r"|(?:标签|關鍵字|关键词|关键字|Tags?)\s*[：:][^。！？]{0,60}|友情链接[^。]{0,60})"
)
_COUNTS = r"(?:(?:阅读|浏览|点击|评论|人气|赞|收藏|转发|views?|likes?|comments?|shares?|回复|查看|瀏覽)(?:次数|次數|数|量)?\s*[（(：:]?\s*[\d,.万w]+\s*[次人)）]?\s*)+"
_ENGLISH = (
    r"(?:(?:share|tweet|pin|print|email|e-mail|save)(?:\s+(?:this|on|to|via|it|article|story|page|post|facebook|twitter|linkedin|whatsapp|email))*"
    r"|(?:read|see|show|learn|load|view) (?:more|all|full (?:article|story))(?:\s.{0,20})?|continue reading.{0,20}|advertisements?|sponsored(?: content)?|related (?:articles?|stories|posts?|topics?|content)[:]?"
    r"|(?:sign|log) ?(?:in|up|out)(?: .{0,40})?|subscribe(?: .{0,40})?|newsletter|follow us.{0,40}|leave a (?:reply|comment)|(?:post|add) a? ?comment|comments? \(\d+\)|\d+ comments?"
    r"|(?:previous|next)(?: (?:post|article|page|story))?|back to (?:top|home)|skip to (?:main )?content|home|menu|search|accept (?:all )?cookies|privacy policy|terms (?:of (?:use|service)|and conditions)"
    r"|click here.{0,40}|image(?: source)?[:].{0,60}|photo(?: credit)?[:].{0,60}|tags?[:].{0,60}|filed under[:].{0,60})"
)
_EDGE = r"[\s\-–—─━═=_*|·•>»«<#\[\]【】（）()~～↑↓←→]*"
_LINE = re.compile(
    rf"^{_EDGE}(?:{'|'.join((_NAVIGATION + '[^。！？]{0,40}', _MORE, _SHARE, _SCAN, _RIGHTS, _STAFF, _FORMS, _SITE, _THREAD, _RELATED, _COUNTS, _ENGLISH))}){_EDGE}$",
    re.IGNORECASE,
)
_RULE = re.compile(r"^[\s\-–—─━═┄┈=_*|·•>»«<#~～+.…]{2,}$")
# No boilerplate line above is longer; testing only short lines keeps long paragraphs from being scanned at all.
LONGEST = 120


def is_boilerplate(line: str) -> bool:
    """Whether the whole line navigates, shares, counts, names staff or claims rights."""
    return len(line) <= LONGEST and bool(_LINE.match(line) or _RULE.match(line))


def drop_boilerplate(text: str) -> tuple[str, int]:
    """The text without boilerplate lines, and the number of characters removed."""
    lines = text.split("\n")
    kept = [line for line in lines if not (line and is_boilerplate(line))]
    if len(kept) == len(lines):
        return text, 0
    cleaned = re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip("\n")
    return cleaned, len(text) - len(cleaned)
