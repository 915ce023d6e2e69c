/* Running programs: what the caller hands over is checked and held on to, and
 * the worker takes one call of a kernel after the other.
 *
 * The values of a program are storages, a row for each chip: its arguments,
 * then the results of each call. A value lives until its last use. A result
 * that aliases an operand takes its bytes over if nobody else can see them:
 * that is, if this is the operand's last use and no buffer holds it. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "sim/plugin_parts.h"

typedef struct execution {
  sim_task task;
  PJRT_Client *client;
  sim_executable *made;
  int chips;
  sim_storage **values[SIM_CHIPS_MAX];  /* [value_count]; NULL: none, or over */
  sim_storage **outputs[SIM_CHIPS_MAX]; /* [output_count] */
  PJRT_Device *devices[SIM_CHIPS_MAX];
  PJRT_Event *done[SIM_CHIPS_MAX];
} execution;

/* ---- The worker's side --------------------------------------------------- */

static pfl_status check_arguments(const execution *run, pfl_error *error) {
  for (int chip = 0; chip < run->chips; chip++)
    for (int i = 0; i < run->made->program->argument_count; i++) {
      const pfl_error *failure = &run->values[chip][i]->failure;
      if (failure->status)
        return base_error_set(error, failure->status,
                              "argument %d of chip %d was never made: %.400s",
                              i, chip, failure->message);
    }
  return PFL_STATUS_OK;
}

static bool is_alone(sim_storage *storage) {
  sim_lock(storage->device->client);
  bool alone = storage->references == 1;
  sim_unlock(storage->device->client);
  return alone;
}

/* The operand whose place a result of the call takes; -1: none. */
static int aliased_operand(const xla_call *call, int result) {
  for (int i = 0; i < call->alias_count; i++)
    if (call->aliases[i].result == result) return call->aliases[i].operand;
  return -1;
}

static int times_used(const xla_call *call, int value) {
  int times = 0;
  for (int i = 0; i < call->operand_count; i++)
    times += call->operands[i] == value;
  return times;
}

/* Storage for a result, which may be its operand's. */
static pfl_status make_result(execution *run, int number, int chip, int result,
                              sim_storage **out, pfl_error *error) {
  const xla_call *call = &run->made->program->calls[number];
  int operand = aliased_operand(call, result);
  if (operand >= 0) {
    int value = call->operands[operand];
    sim_storage *storage = run->values[chip][value];
    if (run->made->last_use[value] == number && is_alone(storage) &&
        times_used(call, value) == 1) {
      *out = sim_storage_keep(storage);
      return PFL_STATUS_OK;
    }
  }
  PFL_TRY(sim_storage_create(run->devices[chip], out, error));
  return sim_storage_fill(*out, &call->results[result], error);
}

/* The pointers of a call, a row of XLA_LIST_MAX for each chip. */
typedef struct call_pointers {
  void *operands[SIM_CHIPS_MAX][XLA_LIST_MAX];
  void *results[SIM_CHIPS_MAX][XLA_LIST_MAX];
} call_pointers;

static pfl_status prepare_call(execution *run, int number, int first_result,
                               call_pointers *pointers, sim_run *out,
                               pfl_error *error) {
  const xla_call *call = &run->made->program->calls[number];
  *out = (sim_run){.chips = run->chips};
  for (int chip = 0; chip < run->chips; chip++) {
    sim_storage **values = run->values[chip];
    for (int i = 0; i < call->result_count; i++)
      PFL_TRY(
          make_result(run, number, chip, i, &values[first_result + i], error));
    for (int i = 0; i < call->operand_count; i++)
      pointers->operands[chip][i] = values[call->operands[i]]->bytes;
    for (int i = 0; i < call->result_count; i++)
      pointers->results[chip][i] = values[first_result + i]->bytes;
    out->operands[chip] = pointers->operands[chip];
    out->results[chip] = pointers->results[chip];
  }
  return PFL_STATUS_OK;
}

static void drop_value(execution *run, int value) {
  for (int chip = 0; chip < run->chips; chip++) {
    sim_storage_release(run->values[chip][value]);
    run->values[chip][value] = NULL;
  }
}

/* Gives back the operands that nobody reads again, and results that nobody
 * reads at all. */
static void drop_values(execution *run, int number, int first_result) {
  const xla_call *call = &run->made->program->calls[number];
  const int *last_use = run->made->last_use;
  for (int i = 0; i < call->operand_count; i++)
    if (last_use[call->operands[i]] == number)
      drop_value(run, call->operands[i]);
  for (int i = 0; i < call->result_count; i++)
    if (last_use[first_result + i] < 0) drop_value(run, first_result + i);
}

static pfl_status run_call(execution *run, int number, int first_result,
                           pfl_error *error) {
  call_pointers pointers;
  sim_run slice_run;
  PJRT_Client *client = run->client;
  PFL_TRY(
      prepare_call(run, number, first_result, &pointers, &slice_run, error));
  if (client->trace) sim_trace_begin(client->trace);
  PFL_TRY(sim_slice_run(client->slice, run->made->calls[number], &slice_run,
                        NULL, error));
  drop_values(run, number, first_result);
  return PFL_STATUS_OK;
}

/* An output is its value's storage, if nobody else needs that, or a copy. */
static pfl_status make_output(execution *run, int chip, int output,
                              pfl_error *error) {
  const xla_program *program = run->made->program;
  int value = program->outputs[output];
  sim_storage *from = run->values[chip][value];
  sim_storage *to = run->outputs[chip][output];
  bool again = false;
  for (int i = output + 1; i < program->output_count; i++)
    again |= program->outputs[i] == value;
  if (!again && is_alone(from)) {
    sim_storage_move(from, to);
    return PFL_STATUS_OK;
  }
  PFL_TRY(sim_storage_fill(to, xla_value_type(program, value), error));
  memcpy(to->bytes, from->bytes, (size_t)to->size);
  return PFL_STATUS_OK;
}

static pfl_status run_program(execution *run, pfl_error *error) {
  const xla_program *program = run->made->program;
  int first_result = program->argument_count;
  PFL_TRY(check_arguments(run, error));
  for (int i = 0; i < program->call_count; i++) {
    PFL_TRY(run_call(run, i, first_result, error));
    first_result += program->calls[i].result_count;
  }
  for (int chip = 0; chip < run->chips; chip++)
    for (int i = 0; i < program->output_count; i++)
      PFL_TRY(make_output(run, chip, i, error));
  return PFL_STATUS_OK;
}

/* Gives back all that it holds but the events. */
static void release_storages(execution *run) {
  for (int chip = 0; chip < run->chips; chip++) {
    for (int i = 0; i < run->made->value_count; i++)
      sim_storage_release(run->values[chip][i]);
    for (int i = 0; i < run->made->program->output_count; i++)
      sim_storage_release(run->outputs[chip][i]);
  }
}

static void free_execution(execution *run) {
  sim_executable_release(run->made);
  for (int chip = 0; chip < run->chips; chip++) {
    base_release(&sim_heap, run->values[chip]);
    base_release(&sim_heap, run->outputs[chip]);
  }
  base_release(&sim_heap, run);
}

static void fail_outputs(execution *run, pfl_status status,
                         const pfl_error *error) {
  for (int chip = 0; chip < run->chips; chip++)
    for (int i = 0; i < run->made->program->output_count; i++) {
      run->outputs[chip][i]->failure = *error;
      run->outputs[chip][i]->failure.status = status;
    }
}

static void run_execution(sim_task *task) {
  execution *run = (execution *)task;
  pfl_error error;
  pfl_status status = run_program(run, &error);
  if (status) fail_outputs(run, status, &error);
  release_storages(run);
  for (int chip = 0; chip < run->chips; chip++)
    sim_event_end(run->done[chip], status, &error);
  free_execution(run);
}

/* ---- The caller's side --------------------------------------------------- */

static pfl_status check_options(const PJRT_ExecuteOptions *options,
                                pfl_error *error) {
  size_t least = SIM_END(PJRT_ExecuteOptions, launch_id);
  if (!options) PFL_RAISE(error, INVALID_ARGUMENT, "options is NULL");
  if (options->struct_size < least)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "the struct_size of the options is %zu: must be %zu or more",
              options->struct_size, least);
  if (options->num_send_ops || options->num_recv_ops)
    PFL_RAISE(error, UNIMPLEMENTED,
              "%zu send and %zu receive operations: a simulated program has "
              "none",
              options->num_send_ops, options->num_recv_ops);
  if (SIM_REACHES(options, PJRT_ExecuteOptions,
                  num_non_donatable_input_indices) &&
      options->num_non_donatable_input_indices &&
      !options->non_donatable_input_indices)
    PFL_RAISE(error, INVALID_ARGUMENT, "non_donatable_input_indices is NULL");
  return PFL_STATUS_OK;
}

static bool is_kept(const PJRT_ExecuteOptions *options, int argument) {
  if (!SIM_REACHES(options, PJRT_ExecuteOptions,
                   num_non_donatable_input_indices))
    return false;
  for (size_t i = 0; i < options->num_non_donatable_input_indices; i++)
    if (options->non_donatable_input_indices[i] == argument) return true;
  return false;
}

static pfl_status check_lists(const PJRT_LoadedExecutable_Execute_Args *args,
                              const execution *run, pfl_error *error) {
  const xla_program *program = run->made->program;
  if (args->num_devices != (size_t)run->chips ||
      args->num_args != (size_t)program->argument_count)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "%zu devices with %zu arguments: the program has %d with %d",
              args->num_devices, args->num_args, run->chips,
              program->argument_count);
  if (!args->output_lists || (args->num_args && !args->argument_lists))
    PFL_RAISE(error, INVALID_ARGUMENT,
              "argument_lists or output_lists is NULL");
  for (int chip = 0; chip < run->chips; chip++)
    if (!args->output_lists[chip] ||
        (args->num_args && !args->argument_lists[chip]))
      PFL_RAISE(error, INVALID_ARGUMENT,
                "argument_lists[%d] or output_lists[%d] is NULL", chip, chip);
  return PFL_STATUS_OK;
}

/* The device of a program of one chip may be chosen. */
static pfl_status choose_devices(const PJRT_LoadedExecutable_Execute_Args *args,
                                 execution *run, pfl_error *error) {
  PJRT_Device *chosen =
      SIM_REACHES(args, PJRT_LoadedExecutable_Execute_Args, execute_device)
          ? args->execute_device
          : NULL;
  if (chosen && run->chips != 1)
    PFL_RAISE(error, UNIMPLEMENTED,
              "execute_device with a program of %d chips: must be NULL",
              run->chips);
  if (chosen && chosen->client != run->client)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "execute_device is of another client than the program");
  for (int chip = 0; chip < run->chips; chip++)
    run->devices[chip] = chosen ? chosen : run->client->device_list[chip];
  return PFL_STATUS_OK;
}

static bool same_tensor(const xla_tensor *a, const xla_tensor *b) {
  return a->dtype == b->dtype && a->rank == b->rank &&
         !memcmp(a->shape, b->shape, (size_t)a->rank * sizeof *a->shape);
}

static pfl_status check_buffer(const execution *run, int chip, int i,
                               const PJRT_Buffer *buffer, pfl_error *error) {
  if (!buffer)
    PFL_RAISE(error, INVALID_ARGUMENT, "argument_lists[%d][%d] is NULL", chip,
              i);
  if (buffer->device != run->devices[chip])
    PFL_RAISE(error, INVALID_ARGUMENT,
              "argument %d of chip %d is on device %d%s: must be on device %d",
              i, chip, buffer->device->number,
              buffer->client == run->client ? "" : " of another client",
              run->devices[chip]->number);
  if (!same_tensor(&buffer->tensor, &run->made->program->arguments[i]))
    PFL_RAISE(error, INVALID_ARGUMENT,
              "argument %d of chip %d has another element type or shape than "
              "the program's",
              i, chip);
  for (int k = 0; k < buffer->tensor.rank; k++)
    if (buffer->minor_to_major[k] != buffer->tensor.rank - 1 - k)
      PFL_RAISE(
          error, INVALID_ARGUMENT,
          "argument %d of chip %d is not row-major: a program's arguments "
          "are",
          i, chip);
  return PFL_STATUS_OK;
}

/* Holds on to the arguments, which must not be deleted; with the mutex. */
static pfl_status hold_arguments(PJRT_Buffer *const *const *lists,
                                 execution *run, pfl_error *error) {
  for (int chip = 0; chip < run->chips; chip++)
    for (int i = 0; i < run->made->program->argument_count; i++) {
      sim_storage *storage = lists[chip][i]->storage;
      if (!storage)
        PFL_RAISE(error, INVALID_ARGUMENT,
                  "argument %d of chip %d was deleted or donated", i, chip);
      storage->references++;
      run->values[chip][i] = storage;
    }
  return PFL_STATUS_OK;
}

/* Takes the donated ones from their buffers; with the mutex. A buffer that is
 * donated twice, or also an argument that is kept, would be two things. */
static pfl_status check_donations(const PJRT_ExecuteOptions *options,
                                  PJRT_Buffer *const *const *lists,
                                  const execution *run, pfl_error *error) {
  const xla_program *program = run->made->program;
  for (int d = 0; d < program->donation_count; d++) {
    int donated = program->donations[d].operand;
    if (is_kept(options, donated)) continue;
    for (int chip = 0; chip < run->chips; chip++)
      for (int i = 0; i < program->argument_count; i++)
        if (i != donated && lists[chip][i] == lists[chip][donated])
          PFL_RAISE(error, INVALID_ARGUMENT,
                    "argument %d of chip %d is donated and is argument %d too",
                    donated, chip, i);
  }
  return PFL_STATUS_OK;
}

static void donate(const PJRT_ExecuteOptions *options,
                   PJRT_Buffer *const *const *lists, const execution *run) {
  const xla_program *program = run->made->program;
  for (int d = 0; d < program->donation_count; d++) {
    int donated = program->donations[d].operand;
    for (int chip = 0; chip < run->chips && !is_kept(options, donated);
         chip++) {
      PJRT_Buffer *buffer = lists[chip][donated];
      if (!buffer->storage) continue;
      buffer->storage->references--; /* the execution has another */
      buffer->storage = NULL;
    }
  }
}

static pfl_status take_arguments(const PJRT_LoadedExecutable_Execute_Args *args,
                                 execution *run, pfl_error *error) {
  PJRT_Buffer *const *const *lists = args->argument_lists;
  for (int chip = 0; chip < run->chips; chip++)
    for (int i = 0; i < run->made->program->argument_count; i++)
      PFL_TRY(check_buffer(run, chip, i, lists[chip][i], error));
  PFL_TRY(check_donations(args->options, lists, run, error));
  sim_lock(run->client);
  pfl_status status = hold_arguments(lists, run, error);
  sim_unlock(run->client);
  return status;
}

/* Events and outputs, which the caller will have. */
static pfl_status make_outputs(execution *run, PJRT_Buffer **const *lists,
                               pfl_error *error) {
  const xla_program *program = run->made->program;
  for (int chip = 0; chip < run->chips; chip++) {
    run->done[chip] = sim_event_create();
    if (!run->done[chip])
      PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory on the host");
    for (int i = 0; i < program->output_count; i++) {
      sim_storage **storage = &run->outputs[chip][i];
      PFL_TRY(sim_storage_create(run->devices[chip], storage, error));
      PFL_TRY(sim_buffer_create(*storage,
                                xla_value_type(program, program->outputs[i]),
                                NULL, run->done[chip], &lists[chip][i], error));
      sim_storage_keep(*storage); /* the buffer has the first reference */
    }
  }
  return PFL_STATUS_OK;
}

static pfl_status make_execution(PJRT_LoadedExecutable *loaded,
                                 execution **out_run, pfl_error *error) {
  sim_executable *made = sim_loaded_keep(loaded);
  if (!made) PFL_RAISE(error, INVALID_ARGUMENT, "the program was deleted");
  execution *run = base_allocate(&sim_heap, sizeof *run);
  if (!run) {
    sim_executable_release(made);
    PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory on the host");
  }
  *run = (execution){.task = {.run = run_execution},
                     .client = loaded->client,
                     .made = made,
                     .chips = made->program->replicas};
  bool full = true;
  for (int chip = 0; chip < run->chips; chip++) {
    size_t values = (size_t)made->value_count * sizeof **run->values;
    size_t outputs =
        (size_t)made->program->output_count * sizeof **run->outputs;
    run->values[chip] = base_allocate(&sim_heap, values);
    run->outputs[chip] = base_allocate(&sim_heap, outputs);
    full &= run->values[chip] && run->outputs[chip];
    if (run->values[chip]) memset(run->values[chip], 0, values);
    if (run->outputs[chip]) memset(run->outputs[chip], 0, outputs);
  }
  if (!full) {
    free_execution(run);
    PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory on the host");
  }
  *out_run = run;
  return PFL_STATUS_OK;
}

/* Undoes an execution that does not take place. */
static void drop_execution(execution *run, PJRT_Buffer **const *lists) {
  for (int chip = 0; chip < run->chips; chip++)
    for (int i = 0; i < run->made->program->output_count; i++) {
      PJRT_Buffer_Destroy_Args args = {.struct_size = sizeof args,
                                       .buffer = lists[chip][i]};
      if (args.buffer) sim_Buffer_Destroy(&args);
      lists[chip][i] = NULL;
    }
  release_storages(run);
  for (int chip = 0; chip < run->chips; chip++) {
    sim_event_release(run->done[chip]); /* twice: nobody else knows of it */
    sim_event_release(run->done[chip]);
  }
  free_execution(run);
}

static pfl_status begin_execution(PJRT_LoadedExecutable_Execute_Args *args,
                                  execution *run, pfl_error *error) {
  PFL_TRY(take_arguments(args, run, error));
  PFL_TRY(make_outputs(run, args->output_lists, error));
  PJRT_Event *done[SIM_CHIPS_MAX];
  int chips = run->chips; /* the run is the worker's, and soon over */
  memcpy(done, run->done, sizeof done);
  sim_lock(run->client);
  donate(args->options, args->argument_lists, run);
  sim_unlock(run->client);
  PFL_TRY(sim_client_submit(run->client, &run->task, error));
  for (int chip = 0; chip < chips; chip++) {
    if (args->device_complete_events)
      args->device_complete_events[chip] = done[chip];
    else
      sim_event_release(done[chip]);
  }
  return PFL_STATUS_OK;
}

static pfl_status execute(PJRT_LoadedExecutable_Execute_Args *args,
                          pfl_error *error) {
  execution *run = NULL;
  PFL_TRY(check_options(args->options, error));
  PFL_TRY(make_execution(args->executable, &run, error));
  pfl_status status = check_lists(args, run, error);
  if (!status) status = choose_devices(args, run, error);
  if (status) {
    free_execution(run);
    return status;
  }
  for (int chip = 0; chip < run->chips; chip++)
    for (int i = 0; i < run->made->program->output_count; i++)
      args->output_lists[chip][i] = NULL;
  status = begin_execution(args, run, error);
  if (status) drop_execution(run, args->output_lists);
  return status;
}

PJRT_Error *sim_LoadedExecutable_Execute(
    PJRT_LoadedExecutable_Execute_Args *args) {
  SIM_BEGIN(LoadedExecutable_Execute, device_complete_events);
  SIM_NEED(args->executable);
  pfl_error error;
  return sim_answer(execute(args, &error), &error);
}
