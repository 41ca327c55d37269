/* Every layer, one a line: DS_LAYER(NAME) stands for the descriptor ds_layer_NAME. Read several times, so
 * without a guard. */
DS_LAYER(sat)
DS_LAYER(gambler)
DS_LAYER(selective)
DS_LAYER(softmax)
DS_LAYER(reject)
