/* A program of somebody else: one query that sees one key gives that key's
 * value; with an argument on a simulated chip, whose plugin and compiler are
 * found beside the library. consumer.cc compiles the same as C++. */
#include <pallas_flash/pallas_flash.h>
#include <stdio.h>

int main(int argc, char **argv) {
  (void)argv;
  pfl_error error;
  pfl_context *context;
  pfl_context_options options = {sizeof options};
  if (argc > 1) options.device = PFL_DEVICE_SIM;
  if (pfl_context_create(&options, &context, &error) != PFL_STATUS_OK) {
    fprintf(stderr, "%s\n", error.message);
    return 1;
  }
  const float q[2] = {1, 2}, k[2] = {3, 4}, v[2] = {5, -6};
  float o[2] = {0, 0};
  pfl_attention attention = {sizeof attention};
  attention.batch = attention.q_heads = attention.kv_heads = 1;
  attention.q_length = attention.kv_length = 1;
  attention.head_dim = 2;
  pfl_forward_args args = {sizeof args};
  args.q = q, args.k = k, args.v = v, args.out_o = o;
  pfl_status status = pfl_attention_forward(context, &attention, &args, &error);
  pfl_context_destroy(context);
  printf("%s: %s: %g %g\n", pfl_version(), pfl_status_name(status), o[0], o[1]);
  return status != PFL_STATUS_OK || o[0] != v[0] || o[1] != v[1];
}
