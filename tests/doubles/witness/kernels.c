// The CPU build of the witness's own kernel, beside a link to libcuda's double.
__attribute__((visibility("default"))) void cpu_launch_add_one(unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
    unsigned bz, void **parameters) {
    unsigned char *bytes = *(unsigned char **)parameters[0];
    unsigned length = *(unsigned *)parameters[1];
    (void)gx, (void)gy, (void)gz, (void)bx, (void)by, (void)bz;
    for (unsigned i = 0; i < length; i++) bytes[i]++;
}
