/* An ordinary client of libdarknet.so: prints the predictions of a fixed picture. CFG WEIGHTS */
#include <stdio.h>
#include <darknet.h>

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    network *net = load_network(argv[1], argv[2], 0);
    set_batch_network(net, 1);
    float *pixels = calloc((size_t)net->inputs, sizeof *pixels);
    for (int i = 0; i < net->inputs; i++)
        pixels[i] = (float)(i % 7) / 7;
    float *out = network_predict(net, pixels);
    for (int i = 0; i < net->outputs; i++)
        printf("%.6f\n", out[i]);
    free_network(net);
    free(pixels);
    return 0;
}
