"""Tables that people write beside their pictures: columns, separators, paths, and what does not fit."""

import json
from collections.abc import Mapping, Sequence

from tests.data.layouts.helpers import Case, expand, lines

# fmt: off
ONE = {"images/{00..09}.jpg": "cat", "images/{10..19}.jpg": "dog"}
CLASSES = {"cat/{0..9}.jpg": "cat", "dog/{0..9}.jpg": "dog"}
# fmt: on


def json_lines(rows: Mapping[str, Mapping[str, str | int]]) -> bytes:
    """Return JSON Lines; the keys are patterns of `file_name`, the values its other fields."""
    return "".join(
        json.dumps({"file_name": path, **fields}, ensure_ascii=False) + "\n"
        for pattern, fields in rows.items()
        for path, _ in expand(pattern)
    ).encode()


def one(name: str, header: str, cat: str, dog: str, separator: str = ",") -> Case:
    """Return a case with the pictures of `ONE` and a table in `labels.csv`, given by its rows' patterns."""
    return Case(
        name, ONE, {"labels.csv": lines(header, cat, dog).replace(b";", separator.encode())}, reader="labels.csv"
    )


def refused(name: str, rows: Sequence[str], *words: str) -> Case:
    """Return a case in which a table beside the pictures of `ONE` fits, but does not decide."""
    return Case(name, list(ONE), {"labels.csv": lines(*rows)}, refused=("labels.csv", *words))


# fmt: off
def divided(name: str, column: str, train: str, validation: str, test: str) -> Case:
    """Return a case whose table has a column of subsets with these three values."""
    pictures = {"images/{00..04}.jpg": "cat @train", "images/{10..14}.jpg": "dog @train",
                "images/{05..09}.jpg": "cat @validation", "images/{15..19}.jpg": "dog @test"}
    rows = [f"{{00..04}}.jpg,cat,{train}", f"{{10..14}}.jpg,dog,{train}",
            f"{{05..09}}.jpg,cat,{validation}", f"{{15..19}}.jpg,dog,{test}"]
    return Case(name, pictures, {"labels.csv": lines(f"image,label,{column}", *rows)})


COLUMNS = [
    *(one(f"columns {file} and {label}", f"{file},{label}", "{00..09}.jpg,cat", "{10..19}.jpg,dog")
      for file, label in [("filename", "label"), ("file_name", "class"), ("image", "target"), ("image_id", "category"),
                          ("path", "label_name"), ("id", "label"), ("file", "class_name"), ("img", "labels"),
                          ("Image", "Label"), ("IMAGE_PATH", "CLASS"), (" filename", " label"), ("name", "label")]),
    one("ids without an ending", "id,label", "{00..09},cat", "{10..19},dog"),
    one("ids with another ending", "image,label", "{00..09}.png,cat", "{10..19}.png,dog"),
    one("endings in capitals", "image,label", "{00..09}.JPG,cat", "{10..19}.JPG,dog"),
    one("with the folder", "path,label", "images/{00..09}.jpg,cat", "images/{10..19}.jpg,dog"),
    one("with ./", "path,label", "./images/{00..09}.jpg,cat", "./images/{10..19}.jpg,dog"),
    one("Windows' paths", "path,label", r"images\{00..09}.jpg,cat", r"images\{10..19}.jpg,dog"),
    one("another machine's paths", "path,label", "/data/images/{00..09}.jpg,cat", "/data/images/{10..19}.jpg,dog"),
    one("another Windows machine's paths", "path,label", r"C:\pets\{00..09}.jpg,cat", r"C:\pets\{10..19}.jpg,dog"),
    one("the label first", "label,image", "cat,{00..09}.jpg", "dog,{10..19}.jpg"),
    one("semicolons", "image;label", "{00..09}.jpg;cat", "{10..19}.jpg;dog", ";"),
    one("tabs in a .csv", "image;label", "{00..09}.jpg;cat", "{10..19}.jpg;dog", "\t"),
    one("quoted", '"image","label"', '"{00..09}.jpg","cat"', '"{10..19}.jpg","dog"'),
    one("commas in quotes", "image,text,label", '{00..09}.jpg,"a cat, asleep",cat', '{10..19}.jpg,"a dog, awake",dog'),
    one("spaces behind commas", "image, label", "{00..09}.jpg, cat", "{10..19}.jpg, dog"),
    one("an unnamed index in front", ",image,label", "7,{00..09}.jpg,cat", "8,{10..19}.jpg,dog"),
    one("further columns", "image,width,height,label", "{00..09}.jpg,640,480,cat", "{10..19}.jpg,800,600,dog"),
    one("Excel's line about the separator", "sep=;\nimage;label", "{00..09}.jpg;cat", "{10..19}.jpg;dog", ";"),
    one("a separator at the end of each line", "image,label,", "{00..09}.jpg,cat,", "{10..19}.jpg,dog,"),
    one("masks in a column", "image,mask,label", "{00..09}.jpg,masks/{=1}.png,cat", "{10..19}.jpg,masks/{=1}.png,dog"),
    one("empty lines at the end", "image,label", "{00..09}.jpg,cat", "{10..19}.jpg,dog\n\n"),
    one("rows twice", "image,label", "{00..09}.jpg,{cat}", "{10..19}.jpg,{dog,dog}"),
    one("one-hot", "image,cat,dog", "{00..09}.jpg,1,0", "{10..19}.jpg,0,1"),
    one("one-hot as floats", "image,cat,dog", "{00..09}.jpg,1.0,0.0", "{10..19}.jpg,0.0,1.0"),
    one("one-hot as words", "image,cat,dog", "{00..09}.jpg,True,False", "{10..19}.jpg,False,True"),
    one("a number and a name that say the same", "image,label,label_name", "{00..09}.jpg,0,cat", "{10..19}.jpg,1,dog"),
    one("class_id and class_name", "image,class_id,class_name", "{00..09}.jpg,3,cat", "{10..19}.jpg,7,dog"),
    Case("a byte order mark",
         ONE, {"labels.csv": b"\xef\xbb\xbf" + lines("image,label", "{00..09}.jpg,cat", "{10..19}.jpg,dog")}),
    Case("line ends of Windows", ONE,
         {"labels.csv": lines("image,label", "{00..09}.jpg,cat", "{10..19}.jpg,dog").replace(b"\n", b"\r\n")}),
    Case("Excel's Unicode text", ONE, {"labels.csv": lines("image\tlabel", "{00..09}.jpg\tcat", "{10..19}.jpg\tdog")
                                       .decode().encode("utf-16")}),
    Case("old Windows encoding",
         {"images/{00..09}.jpg": "café", "images/{10..19}.jpg": "thé"},
         {"labels.csv": lines("image,label", "{00..09}.jpg,café", "{10..19}.jpg,thé").decode().encode("cp1252")},
         may_refuse=True),
    Case("another case", {"b/IMG_{00..09}.jpg": "cat", "b/IMG_{10..19}.jpg": "dog"},
         {"labels.csv": lines("image,label", "img_{00..09}.jpg,cat", "img_{10..19}.jpg,dog")}),
    Case("numbers that pandas has shortened", {"b/00{1..9}.jpg": "cat", "b/0{10..19}.jpg": "dog"},
         {"labels.csv": lines("id,label", "{1..9},cat", "{10..19},dog")}, may_refuse=True),
    Case("pictures and masks in one row", {**ONE, "masks/{00..19}.png": "~"},
         {"labels.csv": lines("image,mask,label", "images/{00..09}.jpg,masks/{=1}.png,cat",
                              "images/{10..19}.jpg,masks/{=1}.png,dog")}),
    Case("rows with too many commas",
         {**ONE, "images/{20..21}.jpg": "~|cat"},
         {"labels.csv": lines("image,label,comment", "{00..09}.jpg,cat,sweet", "{10..19}.jpg,dog,",
                              "{20..21}.jpg,cat,old, tired")}, may_refuse=True),
    Case("a broken line of JSON",
         list(ONE), {"labels.jsonl": b'{"file_name": "00.jpg", "label": "cat"}\n{"file_name": \n'},
         refused=("labels.jsonl",)),
    Case("JSON Lines with numbers", {"images/{00..09}.jpg": "0", "images/{10..19}.jpg": "1"},
         {"labels.jsonl": json_lines({"{00..09}.jpg": {"label": 0}, "{10..19}.jpg": {"label": 1}})}),
    Case("an Excel file",
         list(ONE), {"labels.xlsx": b"PK"}, refused=("labels.xlsx",), unsure="a hint would help, no more"),
    Case("a .tsv",
         ONE, {"labels.tsv": lines("image\tlabel", "{00..09}.jpg\tcat", "{10..19}.jpg\tdog")}, reader="labels.tsv"),
    Case("JSON Lines",
         ONE, {"labels.jsonl": json_lines({"{00..09}.jpg": {"label": "cat"}, "{10..19}.jpg": {"label": "dog"}})}),
    Case("a table in a folder of its own", ONE,
         {"annotations/labels.csv": lines("image,label", "{00..09}.jpg,cat", "{10..19}.jpg,dog")}),
    Case("a table among the pictures",
         ONE, {"images/labels.csv": lines("image,label", "{00..09}.jpg,cat", "{10..19}.jpg,dog")}),
    Case("a table with another name",
         ONE, {"my pets 2024.csv": lines("image,label", "{00..09}.jpg,cat", "{10..19}.jpg,dog")}),
    Case("a wrapping folder", {f"set/{path}": label for path, label in ONE.items()},
         {"set/labels.csv": lines("image,label", "images/{00..09}.jpg,cat", "images/{10..19}.jpg,dog")}),
    Case("numbers as labels", {"images/{00..09}.jpg": "0", "images/{10..19}.jpg": "1"},
         {"labels.csv": lines("image,label", "{00..09}.jpg,0", "{10..19}.jpg,1")}),
    Case("floats as labels", {"images/{00..09}.jpg": "0|0.0", "images/{10..19}.jpg": "1|1.0"},
         {"labels.csv": lines("image,label", "{00..09}.jpg,0.0", "{10..19}.jpg,1.0")}),
    Case("labels with spaces around", ONE, {"labels.csv": lines("image,label", "{00..09}.jpg, cat ", "{10..14}.jpg,dog",
                                                                "{15..19}.jpg,dog ")}),
    Case("labels of two words", {"images/{00..09}.jpg": "golden retriever", "images/{10..19}.jpg": "Bombay, black"},
         {"labels.csv": lines("image,label", "{00..09}.jpg,golden retriever", '{10..19}.jpg,"Bombay, black"')}),
    Case("accents of a Mac", {"b/cafe\u0301{0..9}.jpg": "cat", "b/the\u0301{0..9}.jpg": "dog"},
         {"labels.csv": lines("image,label", "caf\u00e9{0..9}.jpg,cat", "th\u00e9{0..9}.jpg,dog")}),
    Case("a table that says what the folders say", CLASSES,
         {"labels.csv": lines("image,label", "{cat}/{0..9}.jpg,{=1}", "{dog}/{0..9}.jpg,{=1}")}),
    Case("labels: labels.csv, against the folders", {"cat/{0..9}.jpg": "a", "dog/{0..9}.jpg": "b"},
         {"labels.csv": lines("image,label", "cat/{0..9}.jpg,a", "dog/{0..9}.jpg,b")}, labels="labels.csv"),
    Case("labels: a column that no list knows", ONE,
         {"labels.csv": lines("image,which_pet,owner", "{00..09}.jpg,cat,ann", "{10..19}.jpg,dog,bob")},
         labels="labels.csv:which_pet"),
]

INCOMPLETE = [
    Case("files without a row", {**ONE, "images/{20..24}.jpg": "?"},
         {"labels.csv": lines("image,label", "{00..09}.jpg,cat", "{10..19}.jpg,dog")}),
    Case("rows without a file",
         ONE, {"labels.csv": lines("image,label", "{00..09}.jpg,cat", "{10..19}.jpg,dog", "{90..96}.jpg,cat")},
         notes=(r"\b7\b",)),
    Case("empty labels", {**ONE, "images/{20..24}.jpg": "?"},
         {"labels.csv": lines("image,label", "{00..09}.jpg,cat", "{10..19}.jpg,dog", "{20..24}.jpg,")}),
    Case("labels that pandas wrote for none", {**ONE, "images/{20..24}.jpg": "?"},
         {"labels.csv": lines("image,label", "{00..09}.jpg,cat", "{10..19}.jpg,dog", "{20..24}.jpg,NaN")}),
    Case("two labels for one picture",
         {**ONE, "images/{20..24}.jpg": "~"}, {"labels.csv": lines("image,label", "{00..09}.jpg,cat",
          "{10..19}.jpg,dog", "{20..24}.jpg,{cat,dog}")}, may_refuse=True),
    Case("one-hot rows with two ones and with none",
         {**ONE, "images/{20..24}.jpg": "~"}, {"labels.csv": lines("image,cat,dog", "{00..09}.jpg,1,0",
          "{10..19}.jpg,0,1", "{20..22}.jpg,1,1", "{23..24}.jpg,0,0")}, may_refuse=True),
    Case("no row fits a file",
         list(ONE), {"labels.csv": lines("image,label", "{500..509}.jpg,cat", "{510..519}.jpg,dog")},
         refused=("labels.csv",)),
    Case("a table without labels",
         list(ONE), {"sizes.csv": lines("image,width", "{00..19}.jpg,640")}, refused=("labels",)),
    Case("captions", list(ONE), {"metadata.csv": lines("file_name,text", "images/{00..19}.jpg,a photo of pet {=1}")},
         refused=("labels",)),
    Case("boxes, several a picture",
         {**ONE, "images/{20..24}.jpg": "~"}, {"boxes.csv": lines("filename,width,height,class,xmin,ymin,xmax,ymax",
          "{00..09}.jpg,64,48,cat,{1,2},2,30,40", "{10..19}.jpg,64,48,dog,1,2,30,40",
          "{20..24}.jpg,64,48,{cat,dog},1,2,30,40")}, may_refuse=True),
    Case("the same name in two folders", ["a/{0..9}.jpg", "b/{0..9}.jpg"],
         {"labels.csv": lines("image,label", "{0..4}.jpg,cat", "{5..9}.jpg,dog")}, refused=("labels.csv",)),
]

REFUSED = [
    refused("two label columns", ["image,breed,species", "{00..09}.jpg,persian,cat", "{10..14}.jpg,pug,dog",
                                  "{15..19}.jpg,boxer,dog"], "breed", "species"),
    refused("label and category that differ", ["image,label,category", "{00..09}.jpg,cat,old", "{10..14}.jpg,dog,old",
                                               "{15..19}.jpg,dog,new"], "label", "category", "labels: labels.csv:"),
    refused("several answers to each picture",
            ["image,male,smiling,young", "{00..09}.jpg,1,1,-1", "{10..19}.jpg,-1,1,1"], "male", "young"),
    refused("a measure and a flag", ["id,boneage,male", "{00..09},1{=1},True", "{10..19},1{=1},False"], "boneage"),
    Case("two tables that differ",
         {**{f"images/{n:02}.jpg": "cat" for n in range(10)}, "images/{10,11}.jpg": "-", "images/{12..19}.jpg": "dog"},
         {"labels.csv": lines("image,label", "{00..09}.jpg,cat", "{10..19}.jpg,dog"),
                     "labels_v2.csv": lines("image,label", "{00..11}.jpg,cat", "{12..19}.jpg,dog")},
         may_refuse=True),
    Case("a table against the folders", list(CLASSES),
         {"labels.csv": lines("image,label", "cat/{0..9}.jpg,a", "dog/{0..4}.jpg,b", "dog/{5..9}.jpg,a")},
         refused=("labels.csv", "labels: top", "cat", "dog")),
    Case("labels: a table that is not there", list(ONE), {"labels.csv": lines("image,label", "{00..19}.jpg,cat")},
         labels="lables.csv", refused=("lables.csv", "labels.csv")),
    Case("labels: a column that is not there",
         list(ONE), {"labels.csv": lines("image,label,breed", "{00..19}.jpg,cat,persian")}, labels="labels.csv:bread",
         refused=("bread", "breed")),
    Case("labels: neither word nor table", list(CLASSES), labels="folder", refused=("folder", "top", "parent", "name")),
]
DIVIDED = [
    divided("a column split", "split", "train", "val", "test"),
    divided("a column subset in capitals", "Subset", "TRAIN", "VALIDATION", "TEST"),
    divided("a column set", "set", "training", "valid", "testing"),
    divided("a column partition", "partition", "train", "dev", "test"),
    divided("a column data set", "data set", "train", "valid", "test"),
    Case("fer2013's Usage", {"images/{00..09}.jpg": "cat", "images/{10..19}.jpg": "dog @test"},
         {"labels.csv": lines("image,label,Usage", "{00..09}.jpg,cat,Training", "{10..19}.jpg,dog,PrivateTest")}),
    Case("is_valid", {"images/{00..09}.jpg": "cat @train", "images/{10..19}.jpg": "dog @validation"},
         {"labels.csv": lines("image,label,is_valid", "{00..09}.jpg,cat,False", "{10..19}.jpg,dog,True")}),
    Case("is_test as numbers", {"images/{00..09}.jpg": "cat @train", "images/{10..19}.jpg": "dog @test"},
         {"labels.csv": lines("image,label,is_test", "{00..09}.jpg,cat,0", "{10..19}.jpg,dog,1")}),
    Case("a split for the test pictures only", {"images/{00..09}.jpg": "cat", "images/{10..19}.jpg": "dog @test"},
         {"labels.csv": lines("image,label,split", "{00..09}.jpg,cat,", "{10..19}.jpg,dog,test")}),
    Case("a split with unlabelled test pictures", {**ONE, "images/{20..24}.jpg": "?"},
         {"labels.csv": lines("image,label,split", "{00..09}.jpg,cat,train", "{10..19}.jpg,dog,train",
                              "{20..24}.jpg,,test")}),
    Case("folds are no subsets", ONE,
         {"labels.csv": lines("image,label,fold", "0{0..9}.jpg,cat,{=1}", "1{0..9}.jpg,dog,{=1}")}),
    Case("a column split beside folders of subsets, which agree",
         {"train/{0..9}.jpg": "cat @train", "train/{10..19}.jpg": "dog @train", "test/{20..24}.jpg": "dog @test"},
         {"labels.csv": lines("path,label,split", "train/{0..9}.jpg,cat,train", "train/{10..19}.jpg,dog,train",
                              "test/{20..24}.jpg,dog,test")}),
    Case("one table for folders of subsets",
         {"train/{0..9}.jpg": "cat @train", "train/{10..19}.jpg": "dog @train", "test/{0..4}.jpg": "dog @test"},
         {"labels.csv": lines("path,label", "train/{0..9}.jpg,cat", "train/{10..19}.jpg,dog", "test/{0..4}.jpg,dog")}),
]

GROUPED = [
    Case("a column of patients",
         {"images/{0..9}.jpg": "cat #{1}", "images/1{0..9}.jpg": "dog #{1}"},
         {"labels.csv": lines("image,label,patient_id", "{0..9}.jpg,cat,p{=1}", "1{0..9}.jpg,dog,p{=1}")},
         key="patient_id"),
    Case("split.group: a column", {"images/{0..9}.jpg": "cat #{1}", "images/1{0..9}.jpg": "dog #{1}"},
         {"labels.csv": lines("image,label,owner", "{0..9}.jpg,cat,p{=1}", "1{0..9}.jpg,dog,p{=1}")}, group="owner"),
    Case("split.group: a pattern with a table",
         {"images/{a,b}_{0..9}.jpg": "cat #{1}", "images/{c,d}_{0..9}.jpg": "dog #{1}"},
         {"labels.csv": lines("image,label", "{a,b}_{0..9}.jpg,cat", "{c,d}_{0..9}.jpg,dog")}, group=r"([a-z])_\d+"),
    Case("patients in a table beside class folders", {"cat/{0..9}.jpg": "cat #{1}", "dog/{0..9}.jpg": "dog #{1}"},
         {"patients.csv": lines("path,patient_id", "{cat,dog}/{0..9}.jpg,{=2}")}, group="patient_id"),
    Case("split.group: a column that is not there", list(ONE),
         {"labels.csv": lines("image,label,owner", "{00..09}.jpg,cat,ann", "{10..19}.jpg,dog,bob")}, group="patient",
         refused=("patient",)),
    Case("split.group: a pattern that fits nothing", list(CLASSES), group=r"patient(\d+)", refused=("patient",)),
    Case("split.group: folder, without any", list(CLASSES), group="folder", refused=("folder",)),
]
# fmt: on

TABLES = [*COLUMNS, *INCOMPLETE, *REFUSED, *DIVIDED, *GROUPED]
