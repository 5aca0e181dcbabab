"""The table behind the catalog: every data set, its files, their sizes and checksums."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Part:
    """One file of a data set.

    Where `checksums` is set, the origin holds the frames as single files and `file` is the archive
    of them in a mirror. `checksums` names the list of their SHA-256 in this package.
    """

    file: str
    frames: int
    size: int  # bytes of the file
    checksums: str = ""


@dataclass(frozen=True)
class Entry:
    """One data set: its parts, and where it comes from.

    `default` is the part that the bare name means, `test` the part meant for testing models trained on it
    (None: split the frames instead). `source` is the folder of its files below
    https://raw.githubusercontent.com, with the commit. Energies of the isolated atoms are in the file
    `isolated_atoms`, or in `isolated_energies` (eV, by atomic number) where the origin only states them.
    """

    name: str
    title: str
    parts: dict[str, Part]
    default: str
    method: str
    licence: str
    origin: str
    test: str | None = None
    units: str = "eV, Å"
    citation: str = ""
    note: str = ""
    source: str = ""
    isolated_atoms: Part | None = None
    isolated_energies: dict[int, float] = field(default_factory=dict)

    @property
    def embedded(self) -> bool:
        """Whether the files are inside the package (else they are downloaded)."""
        return not self.source

    @property
    def frames(self) -> int:
        """Frames in all parts together."""
        return sum(part.frames for part in self.parts.values())

    @property
    def size_mb(self) -> float:
        """Size of all parts together in MB (10^6 bytes)."""
        return sum(part.size for part in self.parts.values()) / 1e6


BOTNET = "davkovacs/BOTNet-datasets/29e6d467317e4b5967b7ea5cbee54de953fa0d45"
MLFF = "thorben-frank/mlff/02107c2b625d0db028d1fe614e3dd5ebb37f46ce"
NFF = "learningmatter-mit/NeuralForceField/07fec92f9f09b98677763e32d8d32719e2c6c78c"
AENET_TORCH = "atomisticnet/aenet-PyTorch/c1cf315c39382663e14654ccf5bade967acebe73"
AENET_PYTHON = "atomisticnet/aenet-python/eb2bca77f319feed279268a3607fe0be0e4c98c1"
BOTNET_PAPER = "Batatia et al., arXiv 2205.06643 (2022)"
XTB = "GFN2-xTB"
XTB_PAPER = "Bannwarth, Ehlert, Grimme, J. Chem. Theory Comput. 15, 1652 (2019)"

ENTRIES = (
    Entry(
        name="ethanol",
        title="Ethanol C2H5OH, Langevin dynamics at 300, 500 and 800 K",
        parts={
            "500K": Part("ethanol_500K.npz", 2000, 417048),
            "300K": Part("ethanol_300K.npz", 500, 106910),
            "800K": Part("ethanol_800K.npz", 500, 107038),
        },
        default="500K",
        method=XTB,
        licence="MIT",
        origin="made by tools/make_embedded.py of piwsl-lab",
        citation=XTB_PAPER,
    ),
    Entry(
        name="aspirin",
        title="Aspirin C9H8O4, Langevin dynamics at 500 K",
        parts={"500K": Part("aspirin_500K.npz", 1500, 716655)},
        default="500K",
        method=XTB,
        licence="MIT",
        origin="made by tools/make_embedded.py of piwsl-lab",
        citation=XTB_PAPER,
    ),
    Entry(
        name="ethanol_pbe",
        title="Ethanol, real DFT on the geometries of rMD17; O-H removal; dimers",
        parts={
            "train": Part("train.xyz", 1000, 1115876),
            "test": Part("test_MD.xyz", 1000, 1110863),
            "H-removal": Part("test_H_removal.xyz", 60, 38519),
            "dimers": Part("test_dimers.xyz", 429, 110276),
        },
        default="train",
        test="test",
        method="PBE/def2-SVP, ORCA",
        licence="MIT",
        origin="github.com/davkovacs/BOTNet-datasets",
        citation=BOTNET_PAPER,
        note="H-removal and dimers carry energies only",
        source=f"{BOTNET}/dataset_ethanol",
        isolated_atoms=Part("isolated_atoms.xyz", 4, 608),
    ),
    Entry(
        name="acac_pbe",
        title="Acetylacetone C5H8O2 at 300 and 600 K; H transfer; dihedral scan",
        parts={
            "300K": Part("train_300K.xyz", 500, 880100),
            "600K": Part("train_600K.xyz", 500, 880112),
            "test-300K": Part("test_MD_300K.xyz", 650, 1144100),
            "test-600K": Part("test_MD_600K.xyz", 650, 1144153),
            "H-transfer": Part("test_H_transfer.xyz", 15, 14306),
            "dihedral": Part("test_dihedral.xyz", 45, 43974),
        },
        default="300K",
        test="test-300K",
        method="UHF PBE+D3/def2-SVP, ORCA",
        licence="MIT",
        origin="github.com/davkovacs/BOTNet-datasets",
        citation=BOTNET_PAPER,
        note="H-transfer and dihedral carry energies only",
        source=f"{BOTNET}/dataset_acac",
        isolated_atoms=Part("isolated_atoms.xyz", 3, 455),
    ),
    Entry(
        name="md17_ethanol",
        title="Ethanol, 2000 consecutive frames of ab initio dynamics at 500 K",
        parts={"all": Part("ethanol.npz", 2000, 880967)},
        default="all",
        method="PBE+TS (MD17)",
        licence="MIT",
        origin="github.com/thorben-frank/mlff",
        units="kcal/mol, Å",
        citation="Chmiela et al., Sci. Adv. 3, e1603015 (2017)",
        source=f"{MLFF}/examples/example_data",
    ),
    Entry(
        name="ethanol_ccsdt",
        title="Ethanol, coupled-cluster energies and forces",
        parts={"all": Part("ethanol_ccsd_t-train.npz", 1000, 420138)},
        default="all",
        method="CCSD(T)/cc-pVTZ, Psi4",
        licence="MIT",
        origin="github.com/learningmatter-mit/NeuralForceField",
        units="kcal/mol, Å",
        citation="Chmiela et al., Nat. Commun. 9, 3887 (2018)",
        note="2 frames are duplicates",
        source=f"{NFF}/tutorials/data",
    ),
    Entry(
        name="tio2_pbe",
        title="Titania TiO2, periodic: phases, strained and distorted, with vacancies, 6 to 95 atoms",
        parts={"all": Part("dir_xsf.tar.gz", 1000, 740840)},
        default="all",
        method="PBE, plane waves",
        licence="MIT",
        origin="github.com/atomisticnet/aenet-PyTorch",
        citation="Artrith, Urban, Comput. Mater. Sci. 114, 135 (2016)",
        note="429 of 1000 frames lack one or two O",
        source=f"{AENET_TORCH}/example",
        # As example/01-generate/generate.in of the origin states them. Ten labels may all be of whole TiO2 units,
        # from which no fit can tell Ti from O, and vacancies would then be off by hundreds of eV.
        isolated_energies={8: -432.503149303, 22: -1604.604515075},
    ),
    Entry(
        name="lmnto",
        title="Cathode oxide Li8Mo2Ni7Ti7O32, periodic, 56 atoms, ab initio dynamics",
        parts={"all": Part("xsf.tar.gz", 824, 1583969, checksums="lmnto.sha256")},
        default="all",
        method="SCAN",
        licence="MPL-2.0",
        origin="github.com/atomisticnet/aenet-python",
        citation="tutorial of aenet-python; cf. Cooper et al., npj Comput. Mater. 6, 54 (2020)",
        note="downloaded as 824 single files; the forces of a frame add up to 0.6 eV/Å, not to zero",
        source=f"{AENET_PYTHON}/notebooks/xsf",
    ),
)

# SHA-256 by "data set/file" of everything that is not part of the package.
CHECKSUMS = {
    line.split()[1]: line.split()[0]
    for line in """
b74f321b453374621b447d65c60979f70df1b7182c8ee0215388b2c574f33823  acac_pbe/isolated_atoms.xyz
ea4d76c79cf4cfccd2f93eaf755172b0b648886c4907eb0f82dff07a77530743  acac_pbe/test_H_transfer.xyz
2291f3186a3cc6a5e05e92952c84a9237ca53f862d78fd3316a769360719ec43  acac_pbe/test_MD_300K.xyz
d5a5bba154ec43f915eb7529f86ec3af60e6f911743859daba030181a0378ff7  acac_pbe/test_MD_600K.xyz
0c2246a593579de5a4450698d5f4ba5802b095824b7f211aa5889339967c6809  acac_pbe/test_dihedral.xyz
8f5706d6902360555a5be59395612d2afc3489a75688388a58e7275fdad68af3  acac_pbe/train_300K.xyz
180c2538508f7810a623c279426f44953ee7cfb2af77e48ea3986ff97645a71c  acac_pbe/train_600K.xyz
c94db6a0cfac60c5172c9a22dbc5276a3a6e725fcb2f3ecbde67f0081dca5be2  ethanol_ccsdt/ethanol_ccsd_t-train.npz
a2a662390f31ad623ce493038e680bc34214f88d4432566bf8fbd0761be57583  ethanol_pbe/isolated_atoms.xyz
8d9f13272eb1c7570edaf6afc31e6f8670df38c41b82611504878576708b1a1c  ethanol_pbe/test_H_removal.xyz
b8726933d5b9083989d8e3cc7013c18e0950cf0cbc6f6cd570fdb9759001031c  ethanol_pbe/test_MD.xyz
6beaf368c2caed6493a39c643438317246926675f14b188b7a2dcbd7868f7342  ethanol_pbe/test_dimers.xyz
a26a16d8910581fa321fedc3bd3dfe31f2460e8cbfdc7a8f65243f4fd7250dd0  ethanol_pbe/train.xyz
fa0e73b22dfbe960865e53c4ef424f0eb24db6a005bed42dae41bc44df503daf  lmnto/xsf.tar.gz
1f5919561e69c12754e10b335721be7cc59ce9fbba3970188303f88d462cdd57  md17_ethanol/ethanol.npz
70e7c2ace9bec3d6fde85e2853d8477126fa6854c106be4b827c7e79513e8eb8  tio2_pbe/dir_xsf.tar.gz
""".strip().splitlines()
}
