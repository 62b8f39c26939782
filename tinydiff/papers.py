"""The papers that methods name, by their ids on arXiv, as entries of BibTeX. A method whose paper
is not among them is cited by its id alone.
"""

from __future__ import annotations

import re

# id -> (key, title, authors, the year of its first version)
PAPERS = {
    "1706.03762": (
        "vaswani2017attention",
        "Attention Is All You Need",
        "Ashish Vaswani and Noam Shazeer and Niki Parmar and Jakob Uszkoreit and Llion Jones and "
        "Aidan N. Gomez and Lukasz Kaiser and Illia Polosukhin",
        2017,
    ),
    "1805.04833": (
        "fan2018hierarchical",
        "Hierarchical Neural Story Generation",
        "Angela Fan and Mike Lewis and Yann Dauphin",
        2018,
    ),
    "1904.09751": (
        "holtzman2019curious",
        "The Curious Case of Neural Text Degeneration",
        "Ari Holtzman and Jan Buys and Li Du and Maxwell Forbes and Yejin Choi",
        2019,
    ),
    "2006.11239": (
        "ho2020denoising",
        "Denoising Diffusion Probabilistic Models",
        "Jonathan Ho and Ajay Jain and Pieter Abbeel",
        2020,
    ),
    "2010.02502": (
        "song2020denoising",
        "Denoising Diffusion Implicit Models",
        "Jiaming Song and Chenlin Meng and Stefano Ermon",
        2020,
    ),
    "2107.03006": (
        "austin2021structured",
        "Structured Denoising Diffusion Models in Discrete State-Spaces",
        "Jacob Austin and Daniel D. Johnson and Jonathan Ho and Daniel Tarlow and "
        "Rianne van den Berg",
        2021,
    ),
    "2110.02037": (
        "hoogeboom2021autoregressive",
        "Autoregressive Diffusion Models",
        "Emiel Hoogeboom and Alexey A. Gritsenko and Jasmijn Bastings and Ben Poole and "
        "Rianne van den Berg and Tim Salimans",
        2021,
    ),
    "2202.04200": (
        "chang2022maskgit",
        "{MaskGIT}: Masked Generative Image Transformer",
        "Huiwen Chang and Han Zhang and Lu Jiang and Ce Liu and William T. Freeman",
        2022,
    ),
    "2205.14217": (
        "li2022diffusionlm",
        "{Diffusion-LM} Improves Controllable Text Generation",
        "Xiang Lisa Li and John Thickstun and Ishaan Gulrajani and Percy Liang and "
        "Tatsunori B. Hashimoto",
        2022,
    ),
    "2205.14987": (
        "campbell2022continuous",
        "A Continuous Time Framework for Discrete Denoising Models",
        "Andrew Campbell and Joe Benton and Valentin De Bortoli and Tom Rainforth and "
        "George Deligiannidis and Arnaud Doucet",
        2022,
    ),
    "2207.12598": (
        "ho2022classifierfree",
        "Classifier-Free Diffusion Guidance",
        "Jonathan Ho and Tim Salimans",
        2022,
    ),
    "2208.04202": (
        "chen2022analog",
        "Analog Bits: Generating Discrete Data using Diffusion Models with Self-Conditioning",
        "Ting Chen and Ruixiang Zhang and Geoffrey Hinton",
        2022,
    ),
    "2211.01095": (
        "lu2022dpmsolver",
        "{DPM-Solver++}: Fast Solver for Guided Sampling of Diffusion Probabilistic Models",
        "Cheng Lu and Yuhao Zhou and Fan Bao and Jianfei Chen and Chongxuan Li and Jun Zhu",
        2022,
    ),
    "2302.01318": (
        "chen2023accelerating",
        "Accelerating Large Language Model Decoding with Speculative Sampling",
        "Charlie Chen and Sebastian Borgeaud and Geoffrey Irving and Jean-Baptiste Lespiau and "
        "Laurent Sifre and John Jumper",
        2023,
    ),
    "2306.17775": (
        "wu2023practical",
        "Practical and Asymptotically Exact Conditional Sampling in Diffusion Models",
        "Luhuan Wu and Brian L. Trippe and Christian A. Naesseth and David M. Blei and "
        "John P. Cunningham",
        2023,
    ),
    "2307.09702": (
        "willard2023efficient",
        "Efficient Guided Generation for Large Language Models",
        "Brandon T. Willard and R{\\'e}mi Louf",
        2023,
    ),
    "2310.16834": (
        "lou2023discrete",
        "Discrete Diffusion Modeling by Estimating the Ratios of the Data Distribution",
        "Aaron Lou and Chenlin Meng and Stefano Ermon",
        2023,
    ),
    "2404.17546": (
        "zhao2024probabilistic",
        "Probabilistic Inference in Language Models via Twisted Sequential Monte Carlo",
        "Stephen Zhao and Rob Brekelmans and Alireza Makhzani and Roger Grosse",
        2024,
    ),
    "2406.07524": (
        "sahoo2024simple",
        "Simple and Effective Masked Diffusion Language Models",
        "Subham Sekhar Sahoo and Marianne Arriola and Yair Schiff and Aaron Gokaslan and "
        "Edgar Marroquin and Justin T. Chiu and Alexander Rush and Volodymyr Kuleshov",
        2024,
    ),
    "2409.02908": (
        "zheng2024masked",
        "Masked Diffusion Models are Secretly Time-Agnostic Masked Models and Exploit Inaccurate "
        "Categorical Sampling",
        "Kaiwen Zheng and Yongxin Chen and Hanzi Mao and Ming-Yu Liu and Jun Zhu and "
        "Qinsheng Zhang",
        2024,
    ),
    "2412.10193": (
        "schiff2024simple",
        "Simple Guidance Mechanisms for Discrete Diffusion Models",
        "Yair Schiff and Subham Sekhar Sahoo and Hao Phung and Guanghan Wang and Sam Boshar and "
        "Hugo Dalla-torre and Bernardo P. de Almeida and Alexander Rush and Thomas Pierrot and "
        "Volodymyr Kuleshov",
        2024,
    ),
    "2502.06768": (
        "kim2025train",
        "Train for the Worst, Plan for the Best: Understanding Token Ordering in Masked Diffusions",
        "Jaeyeon Kim and Kulin Shah and Vasilis Kontonis and Sham Kakade and Sitan Chen",
        2025,
    ),
    "2503.00307": (
        "wang2025remasking",
        "Remasking Discrete Diffusion Models with Inference-Time Scaling",
        "Guanghan Wang and Yair Schiff and Subham Sekhar Sahoo and Volodymyr Kuleshov",
        2025,
    ),
    "2503.09573": (
        "arriola2025block",
        "Block Diffusion: Interpolating Between Autoregressive and Diffusion Language Models",
        "Marianne Arriola and Aaron Gokaslan and Justin T. Chiu and Zhihan Yang and Zhixuan Qi and "
        "Jiaqi Han and Subham Sekhar Sahoo and Volodymyr Kuleshov",
        2025,
    ),
    "2505.22618": (
        "wu2025fastdllm",
        "{Fast-dLLM}: Training-free Acceleration of Diffusion {LLM} by Enabling {KV} Cache and "
        "Parallel Decoding",
        "Chengyue Wu and Hao Zhang and Shuchen Xue and Zhijian Liu and Shizhe Diao and "
        "Ligeng Zhu and Ping Luo and Song Han and Enze Xie",
        2025,
    ),
    "2505.24857": (
        "benhamu2025accelerated",
        "Accelerated Sampling from Masked Diffusion Models via Entropy Bounded Unmasking",
        "Heli Ben-Hamu and Itai Gat and Daniel Severo and Niklas Nolte and Brian Karrer",
        2025,
    ),
    "2506.19037": (
        "luxembourg2025plan",
        "Plan for Speed: Dilated Scheduling for Masked Diffusion Language Models",
        "Omer Luxembourg and Haim Permuter and Eliya Nachmani",
        2025,
    ),
    "2508.15487": (
        "ye2025dream",
        "{Dream 7B}: Diffusion Large Language Models",
        "Jiacheng Ye and Zhihui Xie and Lin Zheng and Jiahui Gao and Zirui Wu and Xin Jiang and "
        "Zhenguo Li and Lingpeng Kong",
        2025,
    ),
    "2602.21185": (
        "deschenaux2026duality",
        "The Diffusion Duality, Chapter {II}: {$\\Psi$}-Samplers and Efficient Curriculum",
        "Justin Deschenaux and Caglar Gulcehre and Subham Sekhar Sahoo",
        2026,
    ),
}
# of this program; CITATION.cff says the same
OURS = """@software{tinydiff,
  title = {tinydiff: text diffusion that you can watch},
  author = {{The tinydiff authors}},
  year = {2026},
  version = {0.1.0},
}"""
ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")


def entry(paper: str) -> str:
    """The entry of a method's paper, "arXiv:2406.07524"; "" for what names none."""
    if not (found := ARXIV.fullmatch(paper)):
        return ""
    number = found[1]
    key, title, authors, year = PAPERS.get(number, (f"arxiv{number}", "", "", ""))
    fields = dict(title=title, author=authors, year=year, eprint=number, archivePrefix="arXiv")
    fields["url"] = f"https://arxiv.org/abs/{number}"
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@misc{{{key},", *lines, "}"])


def entries(papers: list[str]) -> str:
    """The entries of papers, each once, in their order, and that of this program."""
    return "\n\n".join([*filter(None, map(entry, dict.fromkeys(papers))), OURS]) + "\n"
