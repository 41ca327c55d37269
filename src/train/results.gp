# BASE_results.png from BASE_results.csv (ARG1): loss, accuracy, learning rate, alpha, AURC and accuracy by class over the
# epochs.
set terminal pngcairo size 1400,700 background rgb 'white'
set datafile separator ','
set datafile columnheaders
training = "with linespoints lc rgb '#1f5fa8' pt 7 ps .7 lw 2"
validation = "with linespoints lc rgb '#b34700' pt 4 ps .9 lw 2 dt 2"

# a plot without a point is an error, and a column without a number leaves no statistics
stats ARG1 using 'alpha' name 'alpha' nooutput
stats ARG1 using 'valid_aurc' name 'aurc' nooutput
stats ARG1 using 'epoch' name 'epoch' nooutput
set xlabel 'epoch'
set xrange [epoch_min-.5:epoch_max+.5]
if (epoch_max - epoch_min < 12) set xtics 1

set multiplot layout 2,3
set ylabel 'loss'
set yrange [0:*]
plot ARG1 using 'epoch':'train_loss' @training title 'training', \
     ARG1 using 'epoch':'valid_nll' @validation title 'validation'
set ylabel 'accuracy'
set yrange [*:1]
plot ARG1 using 'epoch':'train_accuracy' @training title 'training', \
     ARG1 using 'epoch':'valid_top1' @validation title 'validation'
set ylabel 'learning rate'
set yrange [0:*]
plot ARG1 using 'epoch':'learning_rate' @training notitle
set ylabel 'alpha'
if (exists('alpha_records') && alpha_records) plot ARG1 using 'epoch':'alpha' @training notitle
if (exists('aurc_records') && aurc_records) {
    set ylabel 'AURC'
    plot ARG1 using 'epoch':'valid_aurc' @validation title 'validation'
    set ylabel 'accuracy by class'
    set yrange [*:1]
    plot ARG1 using 'epoch':'valid_balanced' @validation title 'balanced', \
         ARG1 using 'epoch':'valid_worst' with linespoints lc rgb '#606060' pt 6 ps .9 lw 2 title 'worst class'
}
unset multiplot
