"""What a second stranger's pictures showed."""

import re

from tests.data.layouts.helpers import Case, lines

# fmt: off
TWO = "{0..5}.jpg,cat", "{6..11}.jpg,dog"
CLASSES = {"{cat,dog}/{0..5}.jpg": "{1}"}
SECOND = [
    Case("patients and magnifications, grouped", {"{benign,malignant}/p{1..5}/{40X,100X}/{1..3}.jpg": "{1} #{2}"},
         group="folder"),
    Case("magnifications and patients, grouped", {"{benign,malignant}/{40X,100X}/p{1..5}/{1..3}.jpg": "{1} #{3}"},
         group="folder"),
    Case("patients and visits, grouped", {"{benign,malignant}/p{1..5}/visit{1,2}/{1..3}.jpg": "{1} #{2}"},
         group="folder"),
    Case("uneven depths, labels: parent", {"a/cat/{1..4}.jpg": "cat", "b/c/dog/{1..4}.jpg": "dog"}, labels="parent"),
    Case("a deeper class, labels: parent", {"fresh/apple/{1..4}.jpg": "apple", "rotten/apple/{1..4}.jpg": "apple",
         "rotten/south/pear/{1..4}.jpg": "pear"}, labels="parent"),
    Case("orders and species, labels: parent", {"Aves/crow/{1..4}.jpg": "crow", "Insecta/Diptera/{fly,gnat}/{1..4}.jpg":
         "{1}"}, labels="parent"),
    Case("notes on test pictures", {"cat/{0..5}.jpg": "cat", "dog/{6..11}.jpg": "dog"},
         {"test_notes.csv": lines("image_id,note", "{0,1,2,6,7,8},n")}),
    Case("CelebA's partition beside labels", {"{0..5}.jpg": "cat", "{6..11}.jpg": "dog"},
         {"labels.csv": lines("image_id,label", *TWO), "list_eval_partition.csv": lines("image_id,partition",
          "{0..7}.jpg,0", "8.jpg,1", "{9..11}.jpg,2")}, notes=("no subset is called 0, 1, 2",)),
    Case("a table for training, folders for the test", {"train/{0..5}.jpg": "cat @train", "train/{6..11}.jpg":
         "dog @train", "test/{cat,dog}/{0..5}.jpg": "{1} @test"}, {"train.csv": lines("image_id,label", *TWO)},
         notes=("^12 pictures without a row in a table have labels from folders",)),
    Case("folders for training, a table for the test", {"Train/{0,1,2}/{0..5}.png": "{1} @train", "Test/{0,1}.png":
         "0 @test", "Test/{2,3}.png": "1 @test", "Test/{4,5}.png": "2 @test"},
         {"Test.csv": lines("ClassId,Path", "0,Test/{0,1}.png", "1,Test/{2,3}.png", "2,Test/{4,5}.png")}),
    Case("names for training, a table for the test", {"train/{cat,dog}.{0..5}.jpg": "{1} @train",
         "test/{0..5}.jpg": "cat @test", "test/{6..11}.jpg": "dog @test"}, {"test.csv": lines("image_id,label", *TWO)}),
    *[Case(f"{train} and {test}", {train + "/{cat,dog}/{1..4}.jpg": "{1} @train", test + "/{cat,dog}/{1..4}.jpg":
           "{1} @test"}) for train, test in (
        ("xtrain", "xtest"), ("trn", "tst"), ("train", "mytest"), ("train", "finaltest"), ("train", "heldout"),
        ("public_train", "private_test"), ("Trainingsdaten", "Testdaten"), ("entraînement", "test"),
        ("entrenamiento", "prueba"), ("treino", "teste"), ("train_val", "test"), ("train+val", "test"),
        ("train_and_val", "test"))],
    Case("a table that says the folders in numbers", CLASSES,
         {"labels.csv": lines("file,label", "cat/{0..5}.jpg,0", "dog/{0..5}.jpg,1")}, notes=("says in numbers",)),
    *[Case(f"test/{name}", {"train/{cat,dog}/{1..5}.jpg": "{1} @train", f"test/{name}" + "/{1..4}.jpg": "?"},
           notes=("not among the classes",)) for name in ("unknown", "all", "mixed", "0")],
    *[Case(f"a class called {name}", {"{cat,dog}/{1..5}.jpg": "{1}", name + "/{1..5}.jpg": name},
           notes=(f"^{re.escape(name)}: a class by its name",)) for name in (
        "to_sort", "_unsorted", "Unsortiert", "inbox", "new folder", "needs review", "cat - Copy", "cat (1)")],
    Case("a list of the classes", CLASSES, {"classes.csv": lines("id,name", "0,cat", "1,dog")}, notes=("^not used",)),
    Case("a log of a training", CLASSES, {"training_log.csv": lines("epoch,loss", "{0..11},0.5")},
         notes=("^not used",)),
    Case("each class twice", {"cat/cat/{1..4}.jpg": "cat", "dog/dog/{1..4}.jpg": "dog"}),
    Case("a class and a subset in one name", {"train_{cat,dog}/{1..4}.jpg": "{1} @train",
         "test_{cat,dog}/{1..4}.jpg": "{1} @test"}),
    Case("a class and a subset in one name, turned round", {"{cat,dog}_train/{1..4}.jpg": "{1} @train",
         "{cat,dog}_test/{1..4}.jpg": "{1} @test"}),
    Case("the subset twice", {"train/train_{cat,dog}/{1..4}.jpg": "{1} @train",
         "test/test_{cat,dog}/{1..4}.jpg": "{1} @test"}),
    Case("sizes below the class", {"{cat,dog}/{224x224,512x512}/{1..4}.jpg": "{1}"}),
    Case("ids in two folders", ["{images,thumbs_2}/{0..11}.jpg"], {"labels.csv": lines("image_id,label", *TWO)},
         refused=("labels.csv", "several folders")),
]
# fmt: on
