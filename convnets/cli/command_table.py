"""The commands of `launch.py`, each with its flags."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Flag:
    """A flag of a command; its type is that of its default."""

    name: str
    default: str | int | bool
    help: str


CONFIG = Flag("config", "", "the experiment: a Python file with get_config(), or the config.json of a run")
WORKDIR = Flag("workdir", "", "the folder of the run: config, metrics, checkpoints, plots and report")
DATA_DIR = Flag("data_dir", "", "the folder of the data set's files, instead of the usual places")
CHECKPOINT = Flag("checkpoint", "", "best (by the validation metric), last, or a step; by default what the run tested")
JSON = Flag("json", False, "print JSON instead of a table")
SPLIT = Flag("split", "test", "train, validation or test")
OUT = Flag("out", "", "where to draw a picture (PNG)")


@dataclass(frozen=True)
class Command:
    """A command, carried out by `run(arguments)` of the module of its name.

    Attributes:
      example: of its arguments.
    """

    summary: str
    example: str
    flags: tuple[Flag, ...]


COMMANDS = {
    "train": Command(
        "train, evaluate and report; the same command again resumes",
        "--config=experiments/lenet_fashion_mnist.py --workdir=runs/lenet --config.optimizer.learning_rate=0.02",
        (
            CONFIG,
            WORKDIR,
            DATA_DIR,
            Flag("local_processes", -1, "start so many processes on this machine, which share its GPUs or cores"),
            Flag("coordinator", "", "host:port of the first of several processes; by default what the cluster says"),
            Flag("num_processes", -1, "how many train together, 1 to train alone; by default what the cluster says"),
            Flag("process_id", -1, "which of them this is, from 0; by default what the cluster says"),
        ),
    ),
    "evaluate": Command(
        "evaluate a run's checkpoint on a split",
        "--workdir=runs/lenet --split=test",
        (
            WORKDIR,
            DATA_DIR,
            CHECKPOINT,
            SPLIT,
            Flag("scores", False, "keep the class scores of each image (scores_SPLIT_PROTOCOL.npz), for ensembles"),
            JSON,
        ),
    ),
    "ensemble": Command(
        "evaluate several runs as one, their scores averaged; DIR@CHECKPOINT names a checkpoint",
        "runs/seed0 runs/seed1 runs/seed2@last --config.evaluation.protocol=ten_crop",
        (DATA_DIR, SPLIT, Flag("out", "", "where to keep the result (JSON)"), JSON),
    ),
    "compare": Command(
        "the curves of several runs in one plot, and their results in one table; runs of other seeds as one",
        "runs/augmentation --out=compared.png",
        (OUT, JSON),
    ),
    "prepare": Command(
        "download a data set of TFDS and write it as ArrayRecord files",
        "imagenette/320px-v2 --data_dir=data",
        (DATA_DIR,),
    ),
    "augment": Command(
        "draw what augmentation makes of training images",
        "--config=experiments/augmentation_fashion_mnist.py --out=sheet.png",
        (
            CONFIG,
            DATA_DIR,
            OUT,
            Flag("rows", 6, "training images"),
            Flag("columns", 8, "draws of each, those of the first epochs"),
        ),
    ),
    "statistics": Command(
        "mean, std and principal components of the training pixels",
        "--config=experiments/lenet_fashion_mnist.py",
        (CONFIG, DATA_DIR, JSON),
    ),
    "predict": Command(
        "say what is in image files, or in all images of a folder",
        "--workdir=runs/lenet shoe.png photos/",
        (
            WORKDIR,
            CHECKPOINT,
            Flag(
                "out",
                "",
                "where to write pictures of pixels' classes or of boxes; by default predictions in the workdir",
            ),
            JSON,
        ),
    ),
    "export": Command(
        "write a run's network for use elsewhere: its weights, or a program that predicts",
        "--workdir=runs/lenet --out=lenet.stablehlo",
        (
            WORKDIR,
            CHECKPOINT,
            Flag("out", "", "the file to write, ending in .safetensors, .npz, .stablehlo or .onnx"),
            Flag("format", "", "safetensors, npz, stablehlo or onnx, where the ending does not say it"),
        ),
    ),
    "probe": Command(
        "linear classifiers on every stage of a run's network, or with --config of what an experiment begins with",
        "--workdir=runs/lenet",
        (WORKDIR, CONFIG, DATA_DIR, CHECKPOINT, JSON),
    ),
    "transfer": Command(
        "probe pretrained weights, fine-tune few and all of their stages, train from scratch, and say what to use",
        "--config=experiments/pets_fine_tuning.py --workdir=runs/transfer --budget=20",
        (
            CONFIG,
            WORKDIR,
            DATA_DIR,
            Flag(
                "budget",
                0,
                "minutes for the probes and the steps of three trainings; 0: as long as the experiment says",
            ),
        ),
    ),
    "sweep": Command(
        "many trials of one experiment, by its sweep(); the same command again goes on",
        "--config=experiments/sweep_fashion_mnist.py --workdir=runs/sweep --trials=20",
        (
            CONFIG,
            Flag("workdir", "", "the folder of the sweep: its trials, each a workdir, tables, plots and best.json"),
            DATA_DIR,
            Flag("trials", 0, "how many to draw from distributions; 0: 20"),
            Flag("parallel", 0, "how many at once on a machine; 0: one for each device, where the CPU is one"),
            Flag("pruner", "", "median, hyperband or none; by default median for distributions, none for fixed trials"),
            Flag("storage", "", "the address of a database that several machines share; by default study.db there"),
            Flag("heartbeat", 10, "seconds between a worker's signs of life; three left out, and it counts as killed"),
            Flag("retry", False, "begin once more what failed"),
            Flag("engine", "local", "what runs the trials: local, ray or slurm"),
            Flag("address", "", "of the engine ray: HOST:PORT of a cluster, or auto; by default one of this machine"),
            Flag("slurm", "", "of the engine slurm: options of a job, as partition=gpu,gpus_per_node=1,time=240"),
            Flag("workers", 1, "of the engine slurm: jobs that share the trials"),
            JSON,
        ),
    ),
    "summarize": Command(
        "count a network's layers: shapes, parameters, multiply-adds, memory, receptive fields",
        "resnet50 stem=small --image=64x64x3 --depth=1",
        (
            CONFIG,
            WORKDIR,
            Flag("image", "", "height x width x channels, for a network by its name; by default what it was made for"),
            Flag("classes", 0, "of a network by its name; by default 1000, or 10 for images of at most 32 pixels"),
            Flag("batch", 1, "images that multiply-adds and memory are counted for"),
            Flag(
                "depth", 0, "how many names of a layer's path to keep and merge the layers under; 0: a line per layer"
            ),
            JSON,
            Flag("csv", False, "print CSV instead of a table"),
            Flag("all", False, "count every network at its native size instead"),
            Flag("runs", "", "with --all: a folder, whose finished runs are shown beside"),
            Flag("out", "", "with --all: where to draw accuracy against operations (PNG)"),
        ),
    ),
    "slide": Command(
        "a classifier slid over a larger image window by window, against one fully convolutional pass",
        "--workdir=runs/lenet street.jpg --size=256 --out=slide.png",
        (
            WORKDIR,
            DATA_DIR,
            CHECKPOINT,
            Flag("size", 0, "short side of the image, in pixels; 0: two windows, and at least 128"),
            Flag("batch", 64, "windows that are classified at once, at most"),
            Flag("seconds", 10, "about how long to measure; 0 measures nothing"),
            OUT,
            JSON,
        ),
    ),
    "explain": Command(
        "an idea of the lecture, counted and measured; alone, the list of topics",
        "small-filters --depth=128 --out=small_filters.png",
        (
            Flag("depth", -1, "filters of a layer and channels of its input; -1: those of the topic, here and below"),
            Flag("size", -1, "side of the maps or of the image, in pixels"),
            Flag("batch", -1, "maps computed at once while measuring; of scaling: images of a device"),
            Flag("seconds", 10, "about how long to measure; 0 measures nothing"),
            Flag("network", "", "one network instead of several"),
            Flag("kernel", -1, "height and width of the filter"),
            Flag("stride", -1, "of the convolution"),
            Flag("padding", -1, "of the convolution"),
            Flag("output_padding", -1, "of the transpose; -1: that with which its result has the convolution's size"),
            Flag(
                "machine",
                "",
                "some machines instead of all: dgx-h100, p4d, tpu-v4, tpu-v5p, tpu-v5e, with commas between them",
            ),
            Flag("devices", 1024, "the most devices, a power of two"),
            Flag("global_batch", 8192, "images that the devices share"),
            Flag("utilization", 20, "percent of a device's peak that computing reaches"),
            Flag("images_per_second", 0, "what one device reaches with the one network, instead of a utilization"),
            Flag("scope", "both", "of batch norms: synchronized over the devices, each device's own, or both"),
            OUT,
            JSON,
        ),
    ),
    "report": Command(
        "draw the plots and write report.html of a run again",
        "--workdir=runs/lenet",
        (WORKDIR, DATA_DIR),
    ),
}
