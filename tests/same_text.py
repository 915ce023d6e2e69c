"""same_text.py PFLASH OTHER: a kernel's text does not depend on which compiler
built the command.

OTHER, the command as another compiler built it, writes the same programs as
PFLASH does, byte for byte. Exit code 77 if there is none.
"""
import os
import pathlib
import subprocess
import sys

REQUESTS = """
--op forward --shape 1,8,8,4096,4096,128 --dtype bf16 --causal
--op forward --shape 1,8,8,4096,4096,128 --dtype bf16
--op forward --shape 1,8,8,2048,2048,64 --dtype bf16 --causal --lse
--op forward --shape 2,8,2,1000,1100,64 --dtype bf16 --causal --lse
--op forward --shape 2,8,2,1000,1100,192,128 --dtype bf16 --lse
--op forward --shape 2,8,2,1000,1100,64 --dtype f32 --window 100,20 --softcap 30 --sinks --segments --lse
--op forward --shape 1,2,1,131072,131000,192,128 --dtype bf16 --causal --lse
--op forward --shape 1,2,1,131072,131000,64 --dtype f32 --segments
--op forward --shape 1,8,8,8192,8192,128 --dtype bf16 --causal --window 1024,0
--op backward --shape 1,8,8,2048,2048,128 --dtype bf16 --causal
--op backward --shape 1,8,8,2048,2048,64 --dtype bf16
--op backward --shape 1,8,2,65536,65536,128 --dtype bf16 --causal --window 4096,0 --segments
--op backward --shape 1,2,2,2500,2500,64 --dtype bf16 --window 300,2000
--op backward --shape 2,8,2,1000,1100,64 --dtype bf16 --window 100,20 --softcap 30 --sinks --segments
--op decode --shape 1,32,8,1,8192,128 --dtype bf16
--op decode --shape 1,32,8,1,8192,128 --dtype bf16 --chips 4
--op decode --shape 4,32,8,3,8192,64 --dtype bf16 --chips 4 --lse --window 1000,0
--op decode --shape 1,32,8,1,8192,128 --dtype bf16 --cache-dtype int8
--op decode --shape 3,32,4,2,4096,128 --dtype bf16 --cache-dtype int8 --chips 4 --lse --softcap 20 --sinks
--op decode --shape 2,32,8,1,8192,128 --dtype bf16 --page 64 --lse
"""


def text(pflash, request):
    return subprocess.run(
        [pflash, "compile", *request.split(), "--emit", "mosaic", "--out", "-"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout


ours, other = sys.argv[1:]
if not pathlib.Path(other).exists() or os.path.samefile(ours, other):
    print("there is no other build")
    sys.exit(77)
differ = 0
for request in REQUESTS.strip().splitlines():
    mine = text(ours, request)
    assert b"stable_mosaic" in mine, (request, mine)
    if text(other, request) != mine:
        print(f"{other} writes another program for {request}")
        differ = 1
sys.exit(differ)
