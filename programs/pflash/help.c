#include "help.h"

#include <inttypes.h>
#include <string.h>

#include "options.h"
#include "tensor_rules.h"
#include "words.h"

static const char summary[] =
    "exact attention on the CPU: forward, backward, decode";

/* Up to three paragraphs. */
static const char *const descriptions[COMMAND_COUNT][3] = {
    [COMMAND_NONE] =
        {"Attention in C, O = softmax(mask(softcap(scale Q K^T))) V: "
         "FlashAttention-2 forward and backward, and decode split over the "
         "keys.",
         "Results go to standard output, all talk to standard error. An error "
         "names the option or the tensor, what it was and what it must be."},
    [COMMAND_RUN] =
        {"Reads tensors from a safetensors file, computes attention or its "
         "gradient, and writes the results to another. Shapes and element "
         "types are those of the tensors; sums are kept in F32.",
         "A row that sees no key gives o = 0, lse = -inf and gradients of 0. "
         "The time is that of one call, the first: it includes the start of "
         "threads and fresh memory. FLOPs are counted as 4 B Hq Sq Sk D (2 D + "
         "2 Dv for 4 D where they differ), halved when causal, and 2.5 times "
         "that for backward; for decode, the bytes of cache read are. What a "
         "simulation takes is told too, and says nothing of a TPU.",
         "With --json, numbers carry their units in their names. When the "
         "command fails, it prints nothing on standard output and leaves the "
         "output file as it was."},
    [COMMAND_COMPILE] =
        {"Plans attention of the given sizes for a TPU, writes its kernels in "
         "Mosaic and the StableHLO around them, and has the TPU's compiler, "
         "libtpu, make an executable of it. Neither a TPU nor Python is "
         "needed; "
         "mosaic and stablehlo do without libtpu as well. script/bootstrap "
         "--tpu fetches it; pflash info says whether it is there.",
         "The compiler runs in a process of its own, so that its death is an "
         "error and no more. What it made is kept in a cache, except with "
         "listing, which always compiles. A listing holds the compiler's own "
         "dumps, and pflash.json, which has what --json prints.",
         "When the command fails, it prints nothing on standard output and "
         "leaves what is at --out as it was."},
    [COMMAND_SCHEDULE] =
        {"Executes the compiler's final listing of a TPU program without a "
         "TPU: the scalar side exactly, so that trip counts, skipped blocks "
         "and DMAs are the program's own, and the vector side by the clock. "
         "Tells the cycles, what they went to, and where.",
         "These are predictions, not measurements. docs/cycle-model.md says "
         "what is modelled and what is not."},
    [COMMAND_TUNE] =
        {"Writes and compiles a TPU program with one choice of tile sizes "
         "after the other, predicts the cycles of each as pflash schedule "
         "does, and ranks them. A choice that the kernel or the compiler "
         "refuses is a row that says why.",
         "What is found goes into a table that pflash compile and the rest "
         "look into before they plan by their own rules."},
    [COMMAND_BENCH] =
        {"Measures attention on this machine and prints a table: the time of "
         "each workload, its share of what the machine can do, the error "
         "against fp64, and the same of other implementations where --peer "
         "asks for them; then what a TPU v5e-4, predicted, and other devices "
         "would do, and what a dollar buys on each. docs/benchmark.md and "
         "docs/method.md have the method.",
         "On sim nothing is timed: rows are computed on the simulated chips and "
         "held against fp64.",
         "It ends with exit code 1 when a result is further from fp64 than it "
         "may be; the table and the reports say which."},
    [COMMAND_REPORT] =
        {"Reads a report that pflash bench wrote as JSON and tells it again: "
         "the table on standard output, and the page, the CSV or the JSON where "
         "they are asked for, with today's prices or others.",
         "Whatever follows from the samples is worked out anew."},
    [COMMAND_INFO] =
        {"Tells the version, the CPU with its caches and memory, the kernels "
         "and threads that the other commands use unless told otherwise, and "
         "where the TPU's compiler, the simulator and the cache of what was "
         "compiled are."},
};

static const char *const exit_codes[] = {
    [EXIT_DONE] = "Done.",
    [EXIT_FAILED] = "Failed: the message says at what.",
    [EXIT_USAGE] = "Wrong usage: nothing was done.",
};

static const struct {
  const char *name, *text;
} variables[] = {
    {"PFLASH_ISA",
     "The kernels to use where --isa does not say; a name that --isa takes."},
    {"PFLASH_LIBTPU",
     "The path of libtpu.so. If not given: that of .venv beside the program or "
     "up to two directories above it, of VIRTUAL_ENV, of the Pythons on PATH, "
     "of the user and of the system."},
    {"PFLASH_PJRT_PLUGIN",
     "The path of another PJRT plugin to compile with, and to run on as tpu."},
    {"PFLASH_SIM_PLUGIN",
     "The path of libpflash_sim.so, the simulator, which is beside pflash or "
     "where libraries are installed otherwise."},
    {"PFLASH_SIM_SEED, PFLASH_SIM_HOSTILE, PFLASH_SIM_THREADS, "
     "PFLASH_SIM_TRACE",
     "What the simulator does where nothing else is said; docs/simulator.md."},
    {"PFLASH_CACHE",
     "The directory that keeps what was compiled; pallas-flash in "
     "XDG_CACHE_HOME or ~/.cache if not given, and nothing is kept if it is "
     "empty."},
    {"PFLASH_COMPILER",
     "The path of pflash-compiler, which is beside pflash otherwise."},
    {"LIBTPU_INIT_ARGS", "Flags for libtpu."},
};

static const char *const examples[][2] = {
    {"Forward:",
     "pflash run --op forward --causal --in qkv.safetensors "
     "--out o.safetensors"},
    {"Decode, with a result for programs to read:",
     "pflash run --op decode --in step.safetensors --out o.safetensors "
     "--json"},
    {"Decode on a simulated v5e:2x2, and what its four chips did:",
     "pflash run --op decode --device sim --chips 4 --trace t.json "
     "--in q --out o"},
    {"What the TPU compiler makes of the forward kernel on a v5e:",
     "pflash compile --op forward --shape 1,8,8,512,512,64 --emit listing "
     "--out x"},
};

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

static void print_description(cli_page *page, command which) {
  for (int i = 0; i < 3 && descriptions[which][i]; i++)
    page_paragraph(page, descriptions[which][i]);
}

/* "--op a|b" or, where it may be left out, "[--op a|b]". */
static void print_usage_option(cli_page *page, const cli_option *row,
                               bool required) {
  char argument[128], word[192] = "";
  option_argument(row, argument, sizeof argument);
  words_append(word, sizeof word, required ? "%s%s" : "[%s%s]", row->name, argument);
  if (row->repeats) words_append(word, sizeof word, "...");
  page_code_word(page, word);
}

/* "pflash run --op ... [--causal] ..."; --help goes without saying. */
static void print_usage(cli_page *page, command which) {
  char name[32] = "";
  words_append(name, sizeof name, "%spflash%s%s",
               page->style == PAGE_TEXT ? "usage: " : "", which ? " " : "",
               command_name(which));
  page_code_begin(page);
  page_code_word(page, name);
  if (!which) page_code_word(page, "COMMAND [OPTIONS]");
  for (int required = 1; which && required >= 0; required--)
    for (int i = 0; i < option_count; i++)
      if (option_is_for(&option_table[i], which) &&
          (option_table[i].required >> which & 1) == (unsigned)required &&
          !option_is_for(&option_table[i], COMMAND_NONE))
        print_usage_option(page, &option_table[i], required);
  page_code_line(page);
  page_code_end(page);
}

static void print_options(cli_page *page, command which, int level) {
  page_heading(page, level, "Options");
  for (int i = 0; i < option_count; i++) {
    const cli_option *row = &option_table[i];
    char argument[128], term[192] = "";
    if (!option_is_for(row, which)) continue;
    option_argument(row, argument, sizeof argument);
    words_append(term, sizeof term, "%s%s", row->name, argument);
    page_item(page, term, row->help);
  }
}

static void print_tensor(cli_page *page, const tensor_rule *rule) {
  char shape[64], term[96] = "", text[256] = "";
  tensor_rule_shape(rule, shape, sizeof shape);
  words_append(term, sizeof term, "%s %s", rule->name, shape);
  words_append(text, sizeof text, "%s", tensor_element_text(rule->element));
  if (rule->use == USE_OPTIONAL) words_append(text, sizeof text, ", optional");
  if (rule->use == USE_I8)
    words_append(text, sizeof text, ", with a cache of I8");
  if (rule->with) words_append(text, sizeof text, ", with %s", rule->with);
  words_append(text, sizeof text, ".%s%s", rule->help ? " " : "",
               rule->help ? rule->help : "");
  page_item(page, term, text);
}

static void print_tensors_of(cli_page *page, tensor_form form, bool outputs,
                             int level) {
  char title[64] = "";
  words_append(title, sizeof title, "Tensors that %s %s",
               tensor_form_text(form), outputs ? "writes" : "reads");
  page_heading(page, level, title);
  for (int i = 0; i < tensor_rule_count; i++)
    if (tensor_rule_is_for(&tensor_rules[i], form) &&
        (tensor_rules[i].use == USE_OUTPUT) == outputs)
      print_tensor(page, &tensor_rules[i]);
}

static void print_tensors(cli_page *page, int level) {
  for (int form = 0; form < FORM_COUNT; form++)
    for (int outputs = 0; outputs < 2; outputs++)
      print_tensors_of(page, (tensor_form)form, outputs, level);
  page_heading(page, level, "Sizes");
  for (int i = 1; i < SIZE_COUNT; i++)
    page_item(page, tensor_size_name((tensor_size)i),
              tensor_size_text((tensor_size)i));
}

static void print_commands(cli_page *page) {
  page_heading(page, 1, "Commands");
  for (int i = 1; i < COMMAND_COUNT; i++)
    page_item(page, command_name((command)i), command_summary((command)i));
}

static void print_exit_codes(cli_page *page) {
  page_heading(page, 1, "Exit codes");
  for (int i = 0; i < COUNT(exit_codes); i++) {
    char code[8] = "";
    words_append(code, sizeof code, "%d", i);
    page_item(page, code, exit_codes[i]);
  }
}

static void print_variables(cli_page *page) {
  page_heading(page, 1, "Environment");
  for (int i = 0; i < COUNT(variables); i++)
    page_item(page, variables[i].name, variables[i].text);
}

static void print_examples(cli_page *page) {
  page_heading(page, 1, "Examples");
  for (int i = 0; i < COUNT(examples); i++) {
    page_paragraph(page, examples[i][0]);
    page_code_begin(page);
    page_code_word(page, examples[i][1]);
    page_code_line(page);
    page_code_end(page);
  }
}

void help_print(command which, FILE *file) {
  cli_page page = {.file = file, .style = PAGE_TEXT};
  print_usage(&page, which);
  print_description(&page, which);
  if (!which) print_commands(&page);
  print_options(&page, which, 1);
  if (which == COMMAND_RUN) print_tensors(&page, 1);
  if (!which) {
    print_exit_codes(&page);
    print_variables(&page);
  }
}

void help_print_manual(page_style style, FILE *file) {
  cli_page page = {.file = file, .style = style};
  page_title(&page, "pflash", summary);
  page_heading(&page, 1, "Synopsis");
  print_usage(&page, COMMAND_NONE);
  print_description(&page, COMMAND_NONE);
  print_options(&page, COMMAND_NONE, 2);
  print_commands(&page);
  for (int i = 1; i < COMMAND_COUNT; i++) {
    char title[32] = "";
    words_append(title, sizeof title, "pflash %s", command_name((command)i));
    page_heading(&page, 1, title);
    print_usage(&page, (command)i);
    print_description(&page, (command)i);
    print_options(&page, (command)i, 2);
    if (i == COMMAND_RUN) print_tensors(&page, 2);
  }
  print_exit_codes(&page);
  print_variables(&page);
  print_examples(&page);
}
