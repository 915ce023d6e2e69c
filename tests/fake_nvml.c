/* As much of NVML as the benchmark calls: two boards, each of which has taken
 * 250 mJ more whenever it is asked. */
#define EXPORT __attribute__((visibility("default")))

EXPORT int nvmlInit_v2(void);
EXPORT int nvmlShutdown(void);
EXPORT int nvmlDeviceGetCount_v2(unsigned *count);
EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device);
EXPORT int nvmlDeviceGetTotalEnergyConsumption(void *device,
                                               unsigned long long *millijoules);

static unsigned long long counters[2] = {1000000, 77};

int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }

int nvmlDeviceGetCount_v2(unsigned *count) {
  *count = 2;
  return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
  *device = &counters[index];
  return 0;
}

int nvmlDeviceGetTotalEnergyConsumption(void *device,
                                        unsigned long long *millijoules) {
  unsigned long long *counter = device;
  *millijoules = *counter += 250;
  return 0;
}
